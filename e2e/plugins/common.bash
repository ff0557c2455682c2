# Functions that several profiles use.

# two_nodes SUBNET [SUBNET6]: connects two nodes, which forward, by the underlay 192.0.2.0/24, and fd00:192::/64. The subnets have the pods
# of the first one.
two_nodes() {
	ip netns exec "$NODE" sysctl -qw net.ipv4.ip_forward=1
	ip netns exec "$NODE2" sysctl -qw net.ipv4.ip_forward=1
	ip -n "$NODE" link add under type veth peer name under netns "$NODE2"
	ip -n "$NODE" addr add 192.0.2.1/24 dev under
	ip -n "$NODE2" addr add 192.0.2.2/24 dev under
	ip -n "$NODE" link set under up
	ip -n "$NODE2" link set under up
	ip -n "$NODE" route add default via 192.0.2.2
	ip -n "$NODE2" route add "$1" via 192.0.2.1
	[ "$#" -eq 2 ] || return 0
	ip netns exec "$NODE" sysctl -qw net.ipv6.conf.all.forwarding=1
	ip netns exec "$NODE2" sysctl -qw net.ipv6.conf.all.forwarding=1
	ip -n "$NODE" addr add fd00:192::1/64 dev under nodad
	ip -n "$NODE2" addr add fd00:192::2/64 dev under nodad
	ip -n "$NODE" route add default via fd00:192::2
	ip -n "$NODE2" route add "$2" via fd00:192::1
}

# behind ROUTER NAMESPACE ADDRESS NET [ADDRESS6]: a host ADDRESS in a network NET.0/24 of its own. The router has NET.254. ADDRESS6 is in a
# /64, where the router has ::fe.
behind() {
	local device=to-${2##*-}
	ip -n "$1" link add "$device" type veth peer name eth0 netns "$2"
	ip -n "$1" link set "$device" up
	ip -n "$1" addr add "$4.254/24" dev "$device"
	ip -n "$2" link set eth0 up
	ip -n "$2" addr add "$3/24" dev eth0
	ip -n "$2" route add default via "$4.254"
	[ "$#" -eq 5 ] || return 0
	ip -n "$1" addr add "${5%::*}::fe/64" dev "$device" nodad
	ip -n "$2" addr add "$5/64" dev eth0 nodad
	ip -n "$2" route add default via "${5%::*}::fe"
}

# cni_network NAME SUBNET FIRST ROUTE... <PLUGIN: configures a network of one real plugin, with addresses from
# host-local, starting at FIRST. SUBNET and FIRST may have one value for each IP version, with a comma between them.
cni_network() {
	local name=$1 subnet=$2 first=$3
	shift 3
	mkdir -p "$WORK/$name"
	jq --arg name "$name" --arg subnet "$subnet" --arg first "$first" --arg folder "$WORK/$name/addresses" '{
		cniVersion: "1.0.0", name: $name, plugins: [. + {ipam: {
			type: "host-local", dataDir: $folder, ranges: [[$subnet, $first] | map(split(",")) | transpose[] | [{subnet: .[0], rangeStart: .[1]}]],
			routes: ($ARGS.positional | map({dst: .}))
		}}]
	}' --args "$@" >"$WORK/$name/network.conflist"
}

# cni_add NODE NETWORK NAMESPACE [NAME]: calls the network's plugin to create the namespace's eth0, as a kubelet does. The node's end of a
# veth has a random name; NAME becomes its altname. cnitool keeps its results in /var/lib/cni, which is a directory of $WORK here.
cni_add() {
	mkdir -p "$WORK/lib"
	CNI_PATH=$TOOLS NETCONFPATH=$WORK/$2 ip netns exec "$1" unshare -m bash -euc '
		mount --bind "$WORK/lib" /var/lib
		exec "$TOOLS/cnitool" add "$@"
	' cni_add "$2" "/run/netns/$3" >"$WORK/result-$3"
	[ "$#" -eq 4 ] || return 0
	ip -n "$1" link property add dev "$(node_end "$3")" altname "$4"
}

# node_end NAMESPACE: prints the name of the node's end of its eth0, from the plugin's result.
node_end() {
	jq -r '.interfaces[].name | select(startswith("veth"))' "$WORK/result-$1"
}

# mac_of NAMESPACE: prints the MAC of its eth0.
mac_of() {
	ip -n "$1" -j link show dev eth0 | jq -r '.[0].address'
}

# in_background NAMESPACE NAME COMMAND...: starts a daemon, with its output in $WORK/NAME.log.
in_background() {
	ip netns exec "$1" "${@:3}" </dev/null >"$WORK/$2.log" 2>&1 &
	echo $! >"$WORK/$2.pid"
}

# end_background: ends the daemons, waits for their end, and kills those that still run after ten seconds.
end_background() {
	local file pid
	local -a pids=()
	for file in "$WORK"/*.pid; do
		[ -e "$file" ] || continue
		pids+=("$(<"$file")")
	done
	[ "${#pids[@]}" -gt 0 ] || return 0
	kill "${pids[@]}" 2>/dev/null || true
	for pid in "${pids[@]}"; do
		wait_for "the end of a daemon" has_ended "$pid" || kill -9 "$pid" || true
	done
}

# has_ended PID: succeeds also for a zombie, which has no /proc/PID/exe.
has_ended() {
	! [ -e "/proc/$1/exe" ]
}

# wait_for WHAT COMMAND...: repeats the command until it succeeds, for at least ten seconds. If it never does, it prints the logs of
# the daemons and fails.
wait_for() {
	local tries
	for ((tries = 0; tries < 200; tries++)); do
		if "${@:2}" >/dev/null 2>&1; then return; fi
		sleep 0.05
	done
	echo "timeout: $1" >&2
	tail -n 20 "$WORK"/*.log >&2 || true
	return 1
}

# stations BRIDGE: prints the MACs that the first node's bridge has learned, with their ports.
stations() {
	bridge -n "$NODE" -j fdb show br "$1" dynamic | jq -r '.[] | "\(.mac) on \(.ifname)"' | sort
}

# neighbour ADDRESS: prints the first node's neighbour entry for an address.
neighbour() {
	ip -n "$NODE" -j neigh show "$1" | jq -r '.[] | "\(.dst) is \(.lladdr)"'
}

# overlay DEVICE SUBNET: connects the nodes of two_nodes by VXLAN, whose headers take 50 bytes.
overlay() {
	ip -n "$NODE" link add "$1" type vxlan id 42 local 192.0.2.1 remote 192.0.2.2 dev under dstport 8472
	ip -n "$NODE2" link add "$1" type vxlan id 42 local 192.0.2.2 remote 192.0.2.1 dev under dstport 8472
	ip -n "$NODE" addr add 198.51.100.1/30 dev "$1"
	ip -n "$NODE2" addr add 198.51.100.2/30 dev "$1"
	ip -n "$NODE" link set "$1" up
	ip -n "$NODE2" link set "$1" up
	ip -n "$NODE" route replace default via 198.51.100.2
	ip -n "$NODE2" route replace "$2" via 198.51.100.1
}

# source_guard6 DEVICE NAMESPACE ADDRESS ND: counts and drops IPv6 packets that a pod sends to the node's DEVICE from other addresses, and
# all that the guest must not send. The pod's kernel may use its link-local address. ND is accept or drop: neighbour discovery of the pod.
source_guard6() {
	local kernel
	wait_for "the link-local address of $2" kernel_address "$2"
	kernel=$(kernel_address "$2")
	ip netns exec "$NODE" nft -f - <<-EOF
		table netdev guard6-$1 {
			counter foreign_source { }
			counter discovery { }
			counter of_a_host { }
			chain ingress {
				type filter hook ingress device "$1" priority 1
				meta protocol != ip6 accept
				ip6 saddr $kernel accept
				icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 saddr $3 $4
				icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } counter name discovery drop
				icmpv6 type { nd-router-solicit, nd-router-advert, mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } counter name of_a_host drop
				ip6 saddr != $3 counter name foreign_source drop
			}
		}
	EOF
}

# kernel_address NAMESPACE: prints the link-local address of its eth0, which its kernel keeps.
kernel_address() {
	ip -n "$1" -6 -j addr show dev eth0 scope link -tentative | jq -re '.[].addr_info[]? | .local // empty'
}

# guarded6 DEVICE: prints the counters of source_guard6.
guarded6() {
	ip netns exec "$NODE" nft list counters table netdev "guard6-$1"
}

# source_guard DEVICE ADDRESS ETHERTYPE...: counts and drops frames that a pod sends to the node's DEVICE with other ethertypes or other IPv4
# source addresses.
source_guard() {
	local device=$1 address=$2 types
	shift 2
	types=$(IFS=,; echo "$*")
	ip netns exec "$NODE" nft -f - <<-EOF
		table netdev guard-$device {
			counter foreign_ethertype { }
			counter foreign_source { }
			chain ingress {
				type filter hook ingress device "$device" priority 0
				meta protocol != { $types } counter name foreign_ethertype drop
				ip saddr != $address counter name foreign_source drop
			}
		}
	EOF
}

# guarded DEVICE: prints the counters of source_guard.
guarded() {
	ip netns exec "$NODE" nft list counters table netdev "guard-$1"
}
