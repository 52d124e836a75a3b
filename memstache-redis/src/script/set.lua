-- KEYS: entry and lease of each item; then the line, if it lives here.
-- ARGV: not after, stamp, sequence, life of lines, length of the prefix, number of spaces, the spaces; then for each
--   item: condition (a always, n if absent, v if version, l if lease), its argument, version that counts as absent,
--   flags, fresh for, hard deadline in, grace, sliding, tags with their length and envelope.
-- Answers: time, line or false; then for each item: state (1 stored, 2 refused, 3 late), version, head and tags of what
--   is there, if it refused.
local not_after, stamp, sequence = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local life, prefix, spaces = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local items = math.floor(#KEYS / 2)
local answer = { now_us, false }
if spaces > 0 then
  local line = line_of(KEYS[#KEYS], life, 7, spaces)
  answer[2], sequence = line, line[1]
end

local function store(key, lease_key, at)
  local stored, lease = redis.call('GET', key), redis.call('GET', lease_key)
  local head = head_of(stored)
  if is_late(head, not_after) then return { 3, head and head.version or 0, false } end
  local when, wanted = ARGV[at], ARGV[at + 1]
  -- A lease shows by itself that nothing was removed since.
  if when ~= 'l' and is_overtaken(head, stamp) then return { 3, head.version, false } end -- guard: stamp
  local live = is_live(head) and not head.negative and text(head.version) ~= ARGV[at + 2]
  local under, filled = sequence, string.rep('\0', 8)
  if when == 'n' and live then
    return { 2, head.version, without_value(stored) }
  elseif when == 'v' and not (live and text(head.version) == wanted) then
    return { 2, head and head.version or 0, false }
  elseif when == 'l' then
    if not lease or sub(lease, 1, 8) ~= wanted then
      -- A fill that is sent again is recognised as its own.
      if head and head.present and head.filled == wanted then return { 1, head.version, false } end
      return { 2, head and head.version or 0, false }
    end
    under, filled = unpack_from('>I8', lease, 9), wanted
  end
  local version = next_version(head, stamp)
  local fresh, hard = now + ARGV[at + 4], now + ARGV[at + 5]
  local grace = tonumber(ARGV[at + 6])
  local made = pack('>BBI8I8I8I8I8I8I8', 1, tonumber(ARGV[at + 3]), version, now, fresh, hard, grace,
    tonumber(ARGV[at + 7]), under)
  redis.call('SET', key, made .. filled .. ARGV[at + 8], 'PX', fresh + grace - now)
  if lease then end_lease(lease_key, lease, prefix) end
  return { 1, version, false }
end

for item = 1, items do
  answer[item + 2] = store(KEYS[item * 2 - 1], KEYS[item * 2], 7 + spaces + (item - 1) * 9)
end
return answer
