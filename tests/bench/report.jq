# report.jq - the raw results of run.sh (slurped) as a table in Markdown.
#
# The ratio is the median of the ratios of the repeats, not the ratio of two
# medians: own and peer of one repeat ran within the same minutes, and the
# machine's speed drifts over longer ones.

def median:
  sort | if length == 0 then null
         elif length % 2 == 1 then .[(length - 1) / 2]
         else (.[length / 2 - 1] + .[length / 2]) / 2 end;

def shown:
  if . == null then "–"
  elif . >= 100 then round | tostring
  else . * 1000 | round / 1000 | tostring end;

# {repeat: value} of one side of one bench.
def series($results; $bench; $peer; $field):
  [$results[] | select(.bench == $bench and .peer == $peer and has($field))
   | {key: (.repeat | tostring), value: .[$field]}] | from_entries;

def meets($rule; $own; $ratio; $limit):
  if $limit == null then null
  elif $rule == "at_most" then if $own == null then null else $own <= $limit end
  elif $ratio == null then null
  else $ratio >= $limit end;

def verdict($reach; $aim):
  if $aim == true then "aim"
  elif $reach == true then "reached"
  elif $reach == false then "MISSED"
  elif $aim == false then "not yet"
  else "–" end;

def limit($rule):
  if . == null then "–"
  elif $rule == "at_most" then "≤ \(.)"
  else "≥ \(.)×" end;

. as $results
| ([$results[] | select(.bench == "about")] | last // empty
   | "\(.date), \(.cores) cores of \(.cpu), \(.memory), \(.system), "
     + "\(.kernel); \(.version); peers: \(.peers); "
     + "`run.sh \(.options)`; load before it \(.load).",
     ""),
  "| measure | own | peer | | own ÷ peer | to reach | aim | result |",
  "|---|---|---|---|---|---|---|---|",
  ($targets[0][]
   | . as $t
   | series($results; .bench; "own"; .field) as $own
   | series($results; .bench; .against; .field) as $peer
   | ($own | [.[]] | median) as $own_median
   | ([$own | to_entries[] | select($peer[.key] != null)
       | .value / $peer[.key]] | median) as $ratio
   | meets(.rule; $own_median; $ratio; .reach) as $reach
   | meets(.rule; $own_median; $ratio; .aim) as $aim
   | select(($own | length) + ($peer | length) > 0)
   | "| \(.what) | \($own_median | shown) | \($peer | [.[]] | median | shown)"
     + " | \(.against) | \($ratio | shown) | \(.reach | limit($t.rule))"
     + " | \(.aim | limit($t.rule)) | \(verdict($reach; $aim)) |"),
  ([$results[] | select(.bench == "disk")] as $disk
   | select(($disk | length) > 0)
   | "",
     "A synced append of 600 bytes to this disk, alone: p50 "
     + ([$disk[].sync_p50_ms] | median | shown) + " ms, p99 "
     + ([$disk[].sync_p99_ms] | median | shown) + " ms.")
