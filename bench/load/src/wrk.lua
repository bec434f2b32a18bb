-- Sends as many requests at a time as the first argument says.
function init(args)
    local requests = {}
    for i = 1, tonumber(args[1]) do
        requests[i] = wrk.format(nil)
    end
    together = table.concat(requests)
end

function request()
    return together
end
