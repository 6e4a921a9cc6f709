-- Gives the place back, and corrects the tokens that `take` reserved by `more`, which may be negative.
local tokens_limit, more = tonumber(ARGV[4]), tonumber(ARGV[5])
redis.call('ZREM', leases, lease)
if tokens_limit > 0 and more ~= 0 then
  keep('tokens_per_minute', math.max(0, drained('tokens_per_minute', tokens_limit) + more), tokens_limit)
end
return {'', ''}
