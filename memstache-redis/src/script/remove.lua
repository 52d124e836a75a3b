-- KEYS: entry and lease of each item; then the line, if it lives here.
-- ARGV: not after, stamp, life of tombstones, life of lines, length of the prefix, number of spaces, the spaces.
-- Answers: time, line or false; then for each item: state (1 done, 3 late), version, head and tags of what was live.
local not_after, stamp, tomb = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local life, prefix, spaces = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local items = math.floor(#KEYS / 2)
local answer = { now_us, false }
if spaces > 0 then answer[2] = line_of(KEYS[#KEYS], life, 7, spaces) end

for item = 1, items do
  local key, lease_key = KEYS[item * 2 - 1], KEYS[item * 2]
  local stored, lease = redis.call('GET', key), redis.call('GET', lease_key)
  local head = head_of(stored)
  if is_late(head, not_after) then
    answer[item + 2] = { 3, head and head.version or 0, false }
  else
    local version = next_version(head, stamp)
    local grave = pack('>BBI8I8I8I8I8I8I8', 1, 0, version, now, 0, 0, 0, 0, 0) .. string.rep('\0', 10)
    redis.call('DEL', key)
    redis.call('SET', key, grave, 'PX', tomb) -- guard: tombstone
    if lease then end_lease(lease_key, lease, prefix) end
    answer[item + 2] = { 1, version, is_live(head) and without_value(stored) }
  end
end
return answer
