-- KEYS: the line, what plain reads need of it, and of each space. ARGV: life of lines, number of spaces, the spaces.
-- Answers: time, line.
local line = line_of(KEYS[1], tonumber(ARGV[1]), 3, tonumber(ARGV[2]))
extract('pcall', KEYS[2], line)
for at = 3, #KEYS do extract_space('pcall', KEYS[at], line[at * 2 - 2], line[at * 2 - 1]) end
return { now_us, line }
