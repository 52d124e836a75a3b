-- KEYS: the line, its younger tags, its older tags, what plain reads need of it; then for each target, of its space.
-- ARGV: life of lines, most tags, start of markers; then for each target: kind (t tag, s space, a all of the tenant),
--   space, tag, end of its marker.
-- Answers: time, then the sequence of each target.
local life, most = tonumber(ARGV[1]), tonumber(ARGV[2])
make_way(KEYS[4])
local line_key, young, old = KEYS[1], KEYS[2], KEYS[3]
local sequence = line_of(line_key, life, 4, 0)[1]

-- Forgets the older half of the tags, and hides what they could have hidden.
local function turn_over()
  local turned = redis.call('HGET', line_key, 'm') or '0'
  local had = redis.call('HGET', line_key, 'b') == '1'
  if had then redis.call('HSET', line_key, 'g', text(math.max(tonumber(redis.call('HGET', line_key, 'g')), tonumber(turned)))) end
  redis.call('DEL', old)
  redis.call('RENAME', young, old)
  redis.call('HSET', line_key, 'm', text(sequence), 'a', '0', 'b', '1')
end

-- Forgets what is known of single spaces, and hides what they could have hidden.
local function bound()
  if redis.call('HLEN', line_key) <= most then return end
  redis.call('DEL', line_key, young, old)
  redis.call('HSET', line_key, 'q', text(sequence), 'f', text(sequence), 'g', text(sequence))
end

-- Hides what evicted tags could have hidden, before new ones make it look as if nothing was evicted.
local function replace(flag, tags)
  if redis.call('HGET', line_key, flag) == '1' and redis.call('EXISTS', tags) == 0 then
    redis.call('HSET', line_key, 'g', text(sequence), flag, '0') -- guard: eviction
  end
end

replace('a', young)
replace('b', old)
local answer = { now_us }
for at = 4, #ARGV, 4 do
  local kind, space, tag = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if kind == 't' and redis.call('HLEN', young) >= most then turn_over() end
  sequence = math.max(sequence + 1, now_us)
  local s = text(sequence)
  redis.call('HSET', line_key, 'q', s)
  if kind == 't' then
    redis.call('HSET', line_key, 'l:' .. space, s, 'a', '1')
    redis.call('HSET', young, space .. ':' .. tag, s)
    redis.call('PEXPIRE', young, life)
  elseif kind == 's' then
    redis.call('HSET', line_key, 'l:' .. space, s, 'f:' .. space, s)
  else
    redis.call('HSET', line_key, 'f', s)
  end
  bound()
  tell(ARGV[3] .. s .. ':' .. ARGV[at + 3])
  answer[#answer + 1] = sequence
end
local function numbers(fields)
  local found = redis.call('HMGET', line_key, unpack(fields))
  for at = 1, #fields do found[at] = tonumber(found[at] or 0) end
  return found
end

extract('call', KEYS[4], numbers({ 'q', 'f', 'g' }))
for at = 4, #ARGV, 4 do
  if ARGV[at] ~= 'a' then
    local found = numbers({ 'f:' .. ARGV[at + 1], 'l:' .. ARGV[at + 1] })
    extract_space('call', KEYS[at / 4 + 4], found[1], found[2])
  end
end
redis.call('PEXPIRE', line_key, life)
redis.call('PEXPIRE', old, life)
return answer
