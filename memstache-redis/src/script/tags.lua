-- KEYS: the line, its younger tags, its older tags. ARGV: life of lines, then fields of tags.
-- Answers: time, then for each tag the sequence of its last invalidation; 0 if there is none.
local line = line_of(KEYS[1], tonumber(ARGV[1]), 2, 0)
local state = redis.call('HMGET', KEYS[1], 'a', 'b')
-- What was evicted could have said anything.
local lost = (state[1] == '1' and redis.call('EXISTS', KEYS[2]) == 0)
  or (state[2] == '1' and redis.call('EXISTS', KEYS[3]) == 0)
local answer = { now_us }
for at = 2, #ARGV do
  local sequence = math.max(line[3], lost and line[1] or 0)
  for key = 2, 3 do sequence = math.max(sequence, tonumber(redis.call('HGET', KEYS[key], ARGV[at]) or 0)) end
  answer[at] = sequence
end
return answer
