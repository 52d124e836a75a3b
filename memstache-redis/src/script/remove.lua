-- KEYS: entry and lease of each item; then the line, if it lives here, what plain reads need of it, and of each space.
-- ARGV: not after, stamp, life of tombstones, life of lines, length of the prefix, number of spaces, the spaces.
-- Answers: time, line as it is written down or false; then for each item, packed: state (1 done, 3 late), version, head
--   and tags of what was live.
local not_after, stamp, tomb = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local life, prefix, spaces = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local items = (#KEYS - (spaces > 0 and 2 + spaces or 0)) / 2
local answer = { now_us, false }
if spaces > 0 then
  local _, line = line_by(redis.call('MGET', unpack(KEYS, 2 * items + 1)), 1, life, 7, spaces)
  answer[2] = line
end

for item = 1, items do
  local key, lease_key = KEYS[item * 2 - 1], KEYS[item * 2]
  local found = redis.call('MGET', key, lease_key)
  local stored, lease = found[1], found[2]
  local head = head_of(stored)
  local before = head and head.version
  if is_late(before, not_after) then
    answer[item + 2] = pack('>BI8', 3, before or 0)
  else
    local version = next_version(before, stamp)
    local grave = pack('>BBI8I8I8I8I8I8I8', 1, 0, version, now, 0, 0, 0, 0, 0) .. '\0\0\0\0\0\0\0\0\0\0'
    redis.call('DEL', key)
    redis.call('SET', key, grave, 'PX', tomb) -- guard: tombstone
    if lease then end_lease(lease_key, lease, prefix) end
    answer[item + 2] = pack('>BI8', 1, version) .. (is_live(head) and without_value(stored) or '')
  end
end
return answer
