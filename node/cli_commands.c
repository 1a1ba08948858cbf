/* The table of subcommands and their help. */
#include "cli.h"

const struct cli_command cli_commands[] = {
    {"serve", "run the node",
     "usage: creditnode serve -c FILE\n\n"
     "Runs the node in the foreground until SIGTERM or Ctrl-C. SIGHUP reads "
     "the\n"
     "configuration and certificates again. Log lines go to standard error;\n"
     "the line READY says that the node answers.\n\n"
     "  creditnode serve -c /etc/creditnode/node.cfg\n",
     cmd_serve},
    {"check-config", "check the configuration, show what is in effect",
     "usage: creditnode check-config -c FILE\n\n"
     "Reads the configuration as `serve` would, opens the certificates and "
     "the\n"
     "root document, and prints every setting with the place it comes from.\n"
     "Exit status 1 if the node would refuse to start.\n",
     cmd_check_config},
    {"import", "enter records from files or standard input",
     "usage: creditnode import [options] FILE...\n"
     "       creditnode import --stdin < FILE\n\n"
     "Sends CSV files of licences and penalties (columns of 2018 or 2016, by\n"
     "code or Chinese label; UTF-8 or GB18030) to the running node. Good rows\n"
     "are durable in its log when they are reported; bad rows are listed with\n"
     "line, column and rule. The same file twice changes nothing.\n\n"
     "      --stdin          read one file from standard input\n"
     "      --receipt FILE   what happened to every row, as CSV\n"
     "      --quiet          only the sums\n\n"
     "Exit status 0: every row is in; 3: some rows were refused; 6: nothing "
     "was\n"
     "done, another process of this node writes.\n",
     cmd_import},
    {"exchange", "tables that departments write beside the node",
     "usage: creditnode exchange schema TABLE\n"
     "       creditnode exchange status\n\n"
     "schema prints what the administrator of the exchange database runs for "
     "a\n"
     "table of exchange.tables: the table, and the rights of the node and of "
     "the\n"
     "department. It asks no database and no node.\n"
     "status shows what the running node took from each table, and what "
     "stops\n"
     "it (docs/exchange.md).\n",
     cmd_exchange},
    {"catalogue", "kinds of records, their fields, and measures in force",
     "usage: creditnode catalogue [show] [KIND]\n\n"
     "What is built in and what the authorities above published: fields, who\n"
     "may see them, how long records are kept; the versions and who decided\n"
     "them, also those without effect; the measures that listings may name.\n"
     "With the name or number of a kind: its fields.\n",
     cmd_catalogue},
    {"query", "what the node knows about a subject, or one record",
     "usage: creditnode query CODE\n"
     "       creditnode query CODE RECORD-KEY\n"
     "       creditnode query --log ORIGIN/records/INCARNATION --number N\n\n"
     "CODE is a unified social credit code. With a record key: the record "
     "with\n"
     "its history, where it comes from and which tiers hold it durably.\n\n"
     "      --limit N        records of one answer (default 100)\n"
     "      --after NEXT     go on where an answer said `more`\n"
     "      --brief          without the fields\n",
     cmd_query},
    {"status", "state of the running node",
     "usage: creditnode status\n\n"
     "State in one word with its reasons, store, parent and children.\n"
     "Exit status 0: ok, 3: warn, 4: alarm.\n",
     cmd_status},
    {"watch", "live table of several nodes on this machine",
     "usage: creditnode watch [--once] [--until-equal SECONDS] CONFIG...\n\n"
     "Asks the nodes of these configurations for their logs and shows for "
     "each\n"
     "its own records, what it received, how far it lags behind each origin's\n"
     "own head, and its state. Which node is above which they say themselves;\n"
     "of one that does not answer, its configuration.\n\n"
     "      --once               print one table and end\n"
     "      --until-equal SECS   end when every node holds what its subtree\n"
     "                           entered, size and root equal; exit status 1\n"
     "                           if that takes longer\n"
     "      --interval MS        between two looks (default 500)\n",
     cmd_watch},
    {"logs", "the logs this node holds",
     "usage: creditnode logs [--state STATE]\n\n"
     "Each log with its size, root, state and how far the tiers above hold "
     "it.\n"
     "STATE: active, closed, pulling, forked.\n",
     cmd_logs},
    {"issues", "entries that have no effect here, and why",
     "usage: creditnode issues\n\n"
     "Entries are carried on even if this node rejects (void) or does not\n"
     "understand (unindexed) them; this lists them with the reason.\n",
     cmd_issues},
    {"verify", "prove this node's copies equal to another node's",
     "usage: creditnode verify [--with HOST:PORT | --origin] [--log LOG]\n\n"
     "Compares the roots of each log with those of the parent, or of the node\n"
     "named, and finds the first entry that differs. Exit status 3 if any\n"
     "log differs. Roots come from the tree as it is stored; that every entry\n"
     "still has its hash, `creditnode scrub` tells.\n\n"
     "      --with HOST:PORT  another node above or below; it answers for "
     "logs\n"
     "                        of this node and of those below it\n"
     "      --origin          the heads that the origins signed; asks nobody\n"
     "      --log LOG         this log only\n",
     cmd_verify},
    {"reindex", "rebuild the index from the logs",
     "usage: creditnode reindex\n\n"
     "The index is derived from the logs; this makes it anew while the node\n"
     "runs.\n",
     cmd_reindex},
    {"scrub", "read and check everything in the store",
     "usage: creditnode scrub\n\n"
     "Reads every block, hashes every entry and compares with the tree and "
     "the\n"
     "signed heads. Names what is damaged. Exit status 3 if anything is.\n",
     cmd_scrub},
    {"store", "move what the node stores to another database",
     "usage: creditnode store copy --from A.cfg --to B.cfg [--once]\n\n"
     "A and B are configurations of this node that differ in store.backend or\n"
     "mariadb.* and in data.dir: from the embedded store to MariaDB, back, or\n"
     "from one server to another. B's database and data.dir are empty, or hold "
     "an\n"
     "unfinished copy, which goes on.\n\n"
     "While the node runs on A the copy follows it. Stop the node when it "
     "suits\n"
     "you: the rest is copied, every entry of B was read back and every log "
     "is\n"
     "equal by root; keys and root documents come along. Then A is marked, and "
     "no\n"
     "node starts on it any more; start the node with B. If the node is "
     "stopped\n"
     "already, all is done at once.\n\n"
     "Whatever interrupts it: run it again. Until it says that the store has\n"
     "moved, only A can be started.\n\n"
     "      --once           one look at a running node, then end\n"
     "  -s SOCKET            of the running node, if not A's admin.socket\n\n"
     "Exit status 0: moved; 3: copied by --once, the node still runs on A.\n\n"
     "  creditnode store copy --from /etc/creditnode/node.cfg \\\n"
     "                        --to /etc/creditnode/mariadb.cfg\n"
     "  systemctl stop creditnode        # in another terminal, any time "
     "later\n"
     "  mv /etc/creditnode/mariadb.cfg /etc/creditnode/node.cfg\n"
     "  systemctl start creditnode\n",
     cmd_store},
    {"check", "are these subjects on a list?",
     "usage: creditnode check FILE\n\n"
     "One unified social credit code a line. Tells those that are on a list "
     "in\n"
     "force, all of them by one state of the lists, and how old that is. Exit\n"
     "status 3 if any is listed.\n",
     cmd_check},
    {"feedback", "tell what was done about a listing",
     "usage: creditnode feedback LOG#NUMBER --outcome applied --measure ID...\n"
     "       creditnode feedback LOG#NUMBER --outcome not-applicable|refused\n"
     "                  [--reason TEXT]\n\n"
     "For offices without an app of their own; apps call Query/Feedback. What "
     "was\n"
     "done becomes a record of this node, rises like all others, and is seen "
     "by\n"
     "the authority that decided: creditnode directive effects.\n\n"
     "  --outcome WHAT   applied: measures were; not-applicable; refused: "
     "nothing\n"
     "                   was done, and --reason says why\n"
     "  --measure ID     of those that the listing names; again for more\n"
     "  --app NAME       who acted; default: office\n"
     "  --day YYYYMMDD   of the check; default: today\n",
     cmd_feedback},
    {"directive", "decide: who goes on a list and off it",
     "usage: creditnode directive list-add|list-correct|list-remove\n"
     "                  COLUMN=VALUE... (-o FILE | --dry-run)\n"
     "       creditnode directive import FILE (-o FILE | --dry-run)\n"
     "       creditnode directive export FILE [--log LOG] [--from NUMBER]\n"
     "       creditnode directive import FILE\n"
     "       creditnode directive show FILE\n"
     "       creditnode directive sign FILE --key KEY\n"
     "       creditnode directive publish FILE...\n"
     "       creditnode directive lists\n"
     "       creditnode directive status [NUMBER] [--log LOG]\n"
     "       creditnode directive effects [LISTING | --last N] [--log LOG]\n"
     "       creditnode directive node-revoke|node-restore CODE --reason TEXT\n"
     "       creditnode directive node-move CODE --to PARENT --reason TEXT\n"
     "       creditnode directive nodes\n"
     "       creditnode directive catalogue|measure FILE.json\n"
     "                  (-o FILE | --dry-run)\n\n"
     "At a node that the root document names as an issuer. Decisions become a\n"
     "package (1 to 10,000), which takes effect as a whole when enough "
     "deciders\n"
     "signed it and it is published. Columns are those of docs/catalogue.md,\n"
     "by code, Chinese or English label.\n\n"
     "  list-add, list-correct, list-remove   one decision\n"
     "  import     listings or removals from a CSV file\n"
     "      -o FILE          new file for the package\n"
     "      --dry-run        shows what would be published\n"
     "      --receipt FILE   refused rows, as CSV\n"
     "      --correct        the rows correct listings in force\n"
     "      --key KEY        signs at once; with --publish also publishes,\n"
     "                       where one signature is enough\n"
     "  export     a directives log with its signatures, for a node that no "
     "line\n"
     "             reaches; default: this node's own, all of it. There import\n"
     "             takes it, and checks the same as if it came by a line\n"
     "  node-revoke, node-restore, node-move   about a node below this one: "
     "no\n"
     "             node talks to it any more; it may again; it is the child "
     "of\n"
     "             PARENT from now on. Options as above\n"
     "  nodes      what is in force of these\n"
     "  show       what is in a package\n"
     "  sign       adds one decider's signature; needs no node\n"
     "      --key KEY        private key (PEM, mode 0600)\n"
     "  publish    gives it to the running node; several copies of a package\n"
     "             may each carry signatures\n"
     "  lists      how far this node's lists are, and how fresh\n"
     "  effects    what apps below met of a listing (LOG#NUMBER, or the "
     "number in\n"
     "             this node's own log) and did about it; without one: the\n"
     "             last 20 listings\n"
     "  catalogue  kinds of records and fields to add, disclosure to change,\n"
     "             by the highest authority; docs/catalogue.md has the file\n"
     "  measure    measures that listings name, for this node's area\n"
     "  status     how many of the nodes below hold a directive durably, "
     "which\n"
     "             do not, and when they were last heard of; without a "
     "number:\n"
     "             all of them\n"
     "      --log LOG        of that log; default: this node's own\n\n"
     "Exit status 3: rows were refused.\n\n"
     "  creditnode directive import today.csv -o today.package\n"
     "  creditnode directive sign today.package --key li.key\n"
     "  creditnode directive sign today.package --key wang.key\n"
     "  creditnode directive publish today.package\n",
     cmd_directive},
    {"root", "who may decide: show and change the root document",
     "usage: creditnode root show [FILE] [--version N] [--text]\n"
     "       creditnode root propose -o FILE [changes]\n"
     "       creditnode root sign FILE --key KEY [--previous FILE]\n"
     "       creditnode root publish FILE\n\n"
     "The root document says which CAs count and whose decision a directive\n"
     "takes. The deciders of its first issuer keep it: k of them sign the "
     "next\n"
     "version, and k of those whom that names. It then goes to every node by\n"
     "itself, whichever node it is given to.\n\n"
     "  show       the running node's newest version, or a file; status 1 if "
     "a\n"
     "             signature does not fit\n"
     "      --version N          an older one of the node\n"
     "      --text               the file itself, to be carried elsewhere\n"
     "      --previous FILE      status 1 unless it follows that one and is\n"
     "                           signed by enough\n"
     "  propose    writes the next version, to be signed\n"
     "      -o FILE              new file\n"
     "      --from FILE          follows this one, not the running node's\n"
     "      --add-decider CODE:PUBLIC-KEY-FILE:NAME\n"
     "      --remove-decider CODE:NAME-OR-KEY-ID\n"
     "      --threshold CODE:K   K of its deciders from now on\n"
     "      --add-issuer CODE:K  deciders by --add-decider\n"
     "      --remove-issuer CODE\n"
     "      --last CODE:INCARNATION:SIZE:ROOT\n"
     "                           where deciders change: what the former ones\n"
     "                           signed counts up to there (creditnode logs)\n"
     "      --add-ca FILE        one certificate (PEM)\n"
     "      --remove-ca ID       8 or more digits of its SHA-256\n"
     "  sign       adds one keeper's signature; needs no node\n"
     "      --key KEY            private key (PEM, mode 0600)\n"
     "      --previous FILE      the version before, to show what changes; "
     "any\n"
     "                           other text is refused\n"
     "  publish    gives it to the running node\n\n"
     "A decider's key was stolen. At a node:\n\n"
     "  creditnode root show --text > root-1\n"
     "  creditnode root propose -o root-2 \\\n"
     "      --remove-decider 000000000000:Wang \\\n"
     "      --add-decider 000000000000:wang-new.pub:Wang\n\n"
     "Each of the others, on a machine of their own, then again at a node:\n\n"
     "  creditnode root sign root-2 --key li.key --previous root-1\n"
     "  creditnode root publish root-2\n",
     cmd_root},
    {NULL, NULL, NULL, NULL},
};
