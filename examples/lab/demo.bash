# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154 # name, dir and api are set by lab
#
# What "lab demo" shows; sourced by lab. Every line says what was done, what came of it, and why that is right. A line
# whose outcome is another one begins with NO, and the demonstration then ends with exit code 1.

bold='' dim='' red='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'
fi
as_expected=0 otherwise=0

heading() { printf '\n%s%s%s%s%s%s\n' "$bold" "$1" "$plain" "$dim" "${2:+  $2}" "$plain"; }

# judge EXPECTED OUTCOME WHAT WHY
judge()
{
    if [ "$1" = "$2" ]; then
        as_expected=$((as_expected + 1))
        printf '  ok  %-54s %-26s %s%s%s\n' "$3" "$2" "$dim" "$4" "$plain"
    else
        otherwise=$((otherwise + 1))
        printf '  %sNO%s  %-54s %s, expected: %s (%s)\n' "$red" "$plain" "$3" "${2:-nothing}" "$1" "$4"
    fi
}

# -- Real tools in the client, their outcome as two or three words

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# soon BEGAN: a refusal is of use when nobody has to wait for it
soon()
{
    local took=$(($(now_ms) - $1))

    if [ $took -lt 1000 ]; then echo "at once"; else echo "after $took ms"; fi
}

curl_outcome()
{
    local began status code=0

    began=$(now_ms)
    status=$( (in_part client curl -sS --max-time 6 -o "$dir/body" -w '%{http_code}' "$@") 2>"$dir/error") || code=$?
    case $code in
        0) echo "answered $status" ;;
        6) echo "no such name $(soon "$began")" ;;
        7) echo "refused $(soon "$began")" ;;
        28) echo "no answer" ;;
        35 | 52 | 56) echo "reset $(soon "$began")" ;;
        *) echo "curl: exit code $code" ;;
    esac
}

dig_outcome()
{
    local began answer code=0 status extended

    began=$(now_ms)
    answer=$( (in_part client dig +tries=1 +timeout=4 "$@") 2>&1) || code=$?
    status=$(sed -n 's/.*status: \([A-Z]*\),.*/\1/p' <<<"$answer")
    extended=$(sed -n 's/^; EDE: \([0-9]*\).*/\1/p' <<<"$answer" | head -n 1)
    case $status,$code in
        NOERROR,0) awk '$3 == "IN" && ($4 == "A" || $4 == "AAAA") { print $5; exit }' <<<"$answer" ;;
        *,0) echo "$status${extended:+, EDE $extended} $(soon "$began")" ;;
        *)
            case $answer in
                *"timed out"*) echo "no answer" ;;
                *"reset"* | *"end of file"*) echo "reset $(soon "$began")" ;;
                *) echo "refused $(soon "$began")" ;;
            esac
            ;;
    esac
}

ping_outcome()
{
    local began answer

    began=$(now_ms)
    answer=$( (in_part client ping -n -c 1 -W 2 "$@") 2>&1) || true
    case $answer in
        *" bytes from "*) echo "answered" ;;
        *"Packet filtered"* | *"Administratively prohibited"*) echo "refused $(soon "$began")" ;;
        *) echo "no answer" ;;
    esac
}

# by_curl, by_dig, by_ping: EXPECTED WHY ARGUMENT...
by_curl() { judge "$1" "$(curl_outcome "${@:3}")" "curl ${*:3}" "$2"; }
by_dig() { judge "$1" "$(dig_outcome "${@:3}")" "dig ${*:3}" "$2"; }
# by_hello: EXPECTED WHY ADDRESS URL; the address in place of what a resolver would say
by_hello()
{
    local at=$3

    [[ $at != *:* ]] || at="[$at]"
    judge "$1" "$(curl_outcome --connect-to "::$at" "$4")" "curl $4 at $3" "$2"
}
by_ping() { judge "$1" "$(ping_outcome "${@:3}")" "ping ${*:3}" "$2"; }

show_names()
{
    heading "By name" "DNS to the trusted resolver is judged as it passes; its answers open addresses"
    by_dig 198.51.100.10 "web-by-name; the address is learned" www.example.com A
    by_dig 2001:db8:2::10 "the same for IPv6" www.example.com AAAA
    by_dig 198.51.100.10 "the same over TCP" +tcp www.example.com A
    by_dig "NXDOMAIN, EDE 15 at once" "no-ads: policyd answers, the query never arrives" ads.example.com A
    by_dig "NXDOMAIN, EDE 15 at once" "no rule allows it" blog.example.com AAAA @2001:db8:0:1::53
    by_dig "reset at once" "over TCP the connection is reset" +tcp blog.example.com A
    by_dig "refused at once" "another resolver is not trusted" www.example.com A @198.51.100.53
    by_curl "answered 200" "web-by-name" -4 https://www.example.com/
    by_curl "answered 200" "web-by-name" -6 https://www.example.com/
    by_curl "answered 200" "web-by-name" http://www.example.com/
    by_curl "answered 200" "an alias: pool.example.net itself is not allowed" https://shop.example.com/
    by_curl "no such name at once" "the address is that of www, the name is not" https://blog.example.com/
    by_curl "refused at once" "the name is allowed, this port is not" -4 http://www.example.com:8080/
    by_curl "refused at once" "the same for IPv6" -6 http://www.example.com:8080/
}

show_hellos()
{
    heading "By TLS server name" "nobody asks for the name (curl --connect-to); the ClientHello decides"
    by_hello "answered 200" "partner-by-sni" 203.0.113.40 https://partner.example.net/
    by_hello "answered 200" "partner-by-sni" 2001:db8:2:1::40 https://partner.example.net/
    by_hello "reset at once" "the same address, another name" 203.0.113.40 https://tenant.example.net/
    by_hello "reset at once" "the same for IPv6" 2001:db8:2:1::40 https://tenant.example.net/
    by_hello "reset at once" "no-ads, at an address learned for www" 198.51.100.10 https://ads.example.com/
}

show_addresses()
{
    heading "By address, port and ICMP type"
    by_curl "answered 200" "files-by-address" http://198.51.100.30/
    by_curl "answered 200" "files-by-address" "http://[2001:db8:2::30]/"
    by_curl "refused at once" "another port" http://198.51.100.30:8080/
    by_curl "refused at once" "another port" "http://[2001:db8:2::30]:8080/"
    by_curl "refused at once" "no rule, and no name was learned for it" http://203.0.113.20/
    by_ping "answered" "ping-servers" 198.51.100.10
    by_ping "answered" "ping-servers-6" 2001:db8:2::10
    by_ping "refused at once" "outside the range of ping-servers" 203.0.113.40
    by_ping "refused at once" "the same for IPv6" 2001:db8:2:1::40
}

show_audit()
{
    heading "An audit group" "192.0.2.20 is only watched"
    by_curl "answered 200" "denied in a group that only watches: passes, and is a finding" \
        --interface 192.0.2.20 http://203.0.113.20/
}

# -- What an operator looks at, in the order in which one looks

# ask PATH [CURL-OPTION]...: the body, whatever the status
ask()
{
    local path=$1

    shift
    ip netns exec "$name-firewall" curl -sS --noproxy '*' --max-time 10 \
        -H "Authorization: Bearer $(cat "$dir/admin-token")" "$@" "$api$path"
}

table() { column -t -s $'\t' | sed 's/^/  /; s/ *$//'; }

# holds WHAT WHY FILTER FILE: the filter of jq is true of the file, which is not empty
holds()
{
    if [ -s "$4" ] && jq -e "$3" "$4" >/dev/null 2>&1; then
        judge seen seen "$1" "$2"
    else
        judge seen "not seen" "$1" "$2"
    fi
}

show_health()
{
    heading "GET /health" "is the process up"
    ask /health >"$dir/health.json" || true
    holds "status is ok" "it answers, whatever else is wrong" '.status == "ok"' "$dir/health.json"

    heading "GET /ready" "can this node do its work, and if not, which part cannot"
    ask /ready >"$dir/ready.json" || true
    jq -r '.checks[] | [if .ok then "ok" else "NOT OK" end, .name, .detail // ""] | @tsv' "$dir/ready.json" | table
    holds "all eight checks are ok" "a load balancer may send traffic here" '.ready and (.checks | length) == 8' "$dir/ready.json"
}

show_numbers()
{
    heading "GET /metrics" "every counter, for Prometheus; here a few"
    ask /metrics >"$dir/metrics" || true
    sed -nE '/ 0$/d; /^(dp_packets_total\{.*"clients"|dns_queries_total\{|dp_tls_decisions_total\{|dp_active_flows )/s/^/  /p' \
        "$dir/metrics"
    judge seen "$(sed -nE '/^dp_packets_total.*decision="deny".* [1-9]/ { s/.*/seen/p; q }' "$dir/metrics")" \
        "denied packets are counted" "by direction, protocol, decision and group"

    heading "GET /api/v1/stats" "the same as a summary"
    ask /api/v1/stats >"$dir/stats.json" || true
    jq -r '["-", "allowed", "denied"],
        ["packets", .dataplane.packets.allow, .dataplane.packets.deny],
        ["DNS queries", .dns.queries_allow, .dns.queries_deny],
        ["TLS decisions", .tls.allow, .tls.deny] | @tsv' "$dir/stats.json" | table | sed '1s/ -/  /'
    holds "queries and packets, allowed and denied" "all of the above is in here" \
        '[.dataplane.packets.allow, .dataplane.packets.deny, .dns.queries_allow, .dns.queries_deny] | all(. > 0)' "$dir/stats.json"
}

show_names_and_findings()
{
    heading "GET /api/v1/dns-cache" "which names have opened which addresses"
    ask /api/v1/dns-cache >"$dir/names.json" || true
    jq -r '.entries[] | [.hostname, (.ips | join(" "))] | @tsv' "$dir/names.json" | table
    holds "www.example.com is there, blog is not" "what was denied has opened nothing" \
        '[.entries[].hostname] | (index("www.example.com") != null) and (index("blog.example.com") == null)' "$dir/names.json"

    heading "GET /api/v1/audit/findings" "what was denied, or would have been, and why"
    ask "/api/v1/audit/findings?limit=10000" >"$dir/findings.json" || true
    jq -r 'def proto: {"1": "icmp", "6": "tcp", "17": "udp", "58": "icmpv6"}[tostring] // "protocol \(.)";
        def what: if .finding_type == "dns_deny" then "query \(.hostname)"
            else ((.proto // 0) | proto) + " \(.dst_ip)" + (if .dst_port then " port \(.dst_port)" else "" end)
                + (if .sni then " (SNI \(.sni))" elif .fqdn then " (\(.fqdn))" else "" end) end;
        ["times", "group", "what", "reason"],
        (.items | sort_by(.source_group, -.count)[] | [.count, .source_group, what, .reason // .finding_type]) | @tsv' \
        "$dir/findings.json" | table
    holds "the denied query is there" "type dns_deny, with the name" \
        'any(.items[]; .finding_type == "dns_deny" and .hostname == "ads.example.com")' "$dir/findings.json"
    holds "the denied SNI is there" "type tls_deny, with the name" \
        'any(.items[]; .finding_type == "tls_deny" and .sni == "tenant.example.net")' "$dir/findings.json"
    holds "the watched connection is there" "it passed; a policy is tried out like this" \
        'any(.items[]; .source_group == "watched")' "$dir/findings.json"
}

show_stream()
{
    local listener

    heading "GET /api/v1/wiretap/stream" "flows as they are, live, while the client runs curl"
    ask /api/v1/wiretap/stream -N --max-time 5 >"$dir/stream" 2>/dev/null &
    listener=$!
    for _ in {1..100}; do # until the stream has said that it is there
        grep -q '^: connected' "$dir/stream" && break
        sleep 0.05
    done
    by_curl "answered 200" "a slow download, while the stream is read" -4 https://www.example.com/files/slow
    wait "$listener" || true
    # Events as one array; what is no JSON is no event.
    sed -n 's/^data: //p' "$dir/stream" | jq -cs '[.[] | select(.flow_id)]' >"$dir/stream.json" || true
    jq -r '.[:6][] | ["\(.src_ip) > \(.dst_ip)", "port \(.dst_port)", .hostname // "-",
        "\(.packets_out) out, \(.packets_in) in"] | @tsv' "$dir/stream.json" | table
    holds "the connection is shown" "with its name and its packets, about once a second" \
        '[.[] | select(.hostname == "www.example.com" and .dst_port == 443)] | length >= 2' "$dir/stream.json"
}

demonstrate()
{
    show_names
    show_hellos
    show_addresses
    show_audit
    show_health
    show_numbers
    show_names_and_findings
    show_stream
    printf '\n%d as expected, %d not\n' "$as_expected" "$otherwise"
    [ "$otherwise" = 0 ]
}
