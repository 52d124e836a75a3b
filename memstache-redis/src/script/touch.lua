-- KEYS: entry and lease of each item; then the line, if it lives here.
-- ARGV: not after, lease ttl, life of lines, length of the prefix, number of spaces, the spaces; then for each item:
--   kind (p probe, s slide, k keep alive, r renew, f free, q raise a lease's sequence, u raise an entry's), its
--   argument, fresh for, hard deadline in, grace, sliding.
-- Answers: time, line or false; then for each item: state (0 no, 1 yes, 3 late), version, head and tags of what is live.
local not_after, lease_ttl, life = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local prefix, spaces = tonumber(ARGV[4]), tonumber(ARGV[5])
local items = math.floor(#KEYS / 2)
local answer = { now_us, false }
if spaces > 0 then answer[2] = line_of(KEYS[#KEYS], life, 6, spaces) end

local function touch_lease(key, kind, at)
  local lease, wanted = redis.call('GET', key), ARGV[at + 1]
  if not lease or sub(lease, 1, 8) ~= wanted then return { 0, 0, false } end
  if kind == 'r' then
    redis.call('PEXPIRE', key, lease_ttl)
  elseif kind == 'f' then
    end_lease(key, lease, prefix)
  elseif unpack_from('>I8', lease, 9) < tonumber(ARGV[at + 2]) then
    make_way(key)
    redis.call('SETRANGE', key, 8, pack('>I8', tonumber(ARGV[at + 2])))
  end
  return { 1, 0, false }
end

local function touch_entry(key, kind, at)
  local stored = redis.call('GET', key)
  local head = head_of(stored)
  if kind == 'u' then
    local same = head and head.present and text(head.version) == ARGV[at + 1]
    if same and head.sequence < tonumber(ARGV[at + 2]) then
      make_way(key)
      redis.call('SETRANGE', key, 50, pack('>I8', tonumber(ARGV[at + 2])))
    end
    return { same and 1 or 0, 0, false }
  end
  if not is_live(head) or head.negative then return { 0, 0, false } end
  local seen = without_value(stored)
  if kind == 's' and head.sliding > 0 and (head.fresh - now) * 10 < head.sliding * 9 then
    local fresh = math.min(now + head.sliding, head.hard)
    if fresh > head.fresh then
      make_way(key)
      redis.call('SETRANGE', key, 18, pack('>I8', fresh))
      redis.call('PEXPIRE', key, fresh + head.grace - now)
    end
  elseif kind == 'k' then
    if is_late(nil, not_after) then return { 3, head.version, false } end
    if text(head.version) ~= ARGV[at + 1] then return { 2, head.version, seen } end
    local fresh, grace = now + ARGV[at + 2], tonumber(ARGV[at + 4])
    make_way(key)
    redis.call('SETRANGE', key, 18, pack('>I8I8I8I8', fresh, now + ARGV[at + 3], grace, tonumber(ARGV[at + 5])))
    redis.call('PEXPIRE', key, fresh + grace - now)
  end
  return { 1, head.version, seen }
end

for item = 1, items do
  local at = 6 + spaces + (item - 1) * 6
  local kind = ARGV[at]
  if kind == 'r' or kind == 'f' or kind == 'q' then
    answer[item + 2] = touch_lease(KEYS[item * 2], kind, at)
  else
    answer[item + 2] = touch_entry(KEYS[item * 2 - 1], kind, at)
  end
end
return answer
