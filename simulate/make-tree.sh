#!/usr/bin/env bash
# make-tree.sh DIR < NODES - certificates and configurations of a tree.
#
# NODES: a line "CODE TIER PARENT-CODE NAME" each, parents first; "-" for no
# parent. Makes DIR/CODE/node.cfg for each; starts nothing.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,5p' "$0" && exit 2; }
ROOT=$(cd "$(dirname "$0")/.." && pwd)
TREE=$1 TREE_FEDERATION=run.simulation
. "$ROOT/simulate/tree.sh"
mapfile -t nodes
tree_federation "$(cut -c1-2 <<<"${nodes[0]}")0000000000"
for node in "${nodes[@]}"; do
    read -r code tier parent name <<<"$node"
    tree_add "$code" "$tier" "${parent#-}" "$name"
done
