# title: Calico-like
# parts: veth, proxy ARP, permanent neighbour on the node, reverse-path filter (nftables)
# shows: a /32 address behind a link-local gateway that never answers ping; a node that never resolves the pod's MAC
# needs: jq nft sysctl
# address: 192.168.103.70/32
# address6: fd00:192:168:103::70/128
# mtu: 1450
# routes: default_via_169.254.1.1 169.254.1.1
# gateway-answers: -
# gateway-answers6: -
# local: 192.168.103.71
# remote: 192.168.200.5
# service: 10.96.0.1
# local6: fd00:192:168:103::71
# remote6: fd00:192:168:200::5
# service6: fd00:10:96::1
# tap: cali0
# segments: yes
# flags: -
# only6: yes

source "${BASH_SOURCE[0]%/*}/common.bash"

# workload NAMESPACE DEVICE ADDRESS [ADDRESS6]: a pod as Calico's plugin configures it (the node's end of every pod has the same MAC).
workload() {
	ip -n "$NODE" link add "$2" address ee:ee:ee:ee:ee:ee mtu 1450 type veth peer name eth0 mtu 1450 netns "$1"
	ip -n "$NODE" link set "$2" up
	ip netns exec "$NODE" sysctl -qw "net.ipv4.conf.$2.proxy_arp=1" "net.ipv4.neigh.$2.proxy_delay=0" "net.ipv4.conf.$2.route_localnet=1"
	ip -n "$1" link set eth0 up
	ip -n "$1" addr add "$3/32" dev eth0
	ip -n "$1" route add 169.254.1.1 dev eth0 scope link
	ip -n "$1" route add default via 169.254.1.1
	ip -n "$NODE" route add "$3/32" dev "$2" scope link
	ip -n "$NODE" neigh add "$3" lladdr "$(ip netns exec "$1" cat /sys/class/net/eth0/address)" dev "$2" nud permanent
	[ "$#" -eq 4 ] || return 0
	# The gateway is the link-local address of the node's end. The node resolves the pod.
	ip -n "$1" addr add "$4/128" dev eth0 nodad
	ip -n "$1" route add fe80::ecee:eeff:feee:eeee dev eth0
	ip -n "$1" route add default via fe80::ecee:eeff:feee:eeee dev eth0
	ip -n "$NODE" route add "$4/128" dev "$2"
}

up() {
	two_nodes 192.168.103.0/24 fd00:192:168:103::/64
	workload "$POD" cali0 192.168.103.70 fd00:192:168:103::70
	workload "$LOCAL" cali1 192.168.103.71 fd00:192:168:103::71
	behind "$NODE2" "$REMOTE" 192.168.200.5 192.168.200 fd00:192:168:200::5
	behind "$NODE2" "$SERVICE" 10.96.0.1 10.96.0 fd00:10:96::1
	ip netns exec "$NODE" nft -f - <<-'EOF'
		table ip felix {
			counter rpf { }
			chain prerouting {
				type filter hook prerouting priority raw
				iifname "cali*" fib saddr . iif oif missing counter name rpf drop
			}
		}
	EOF
	source_guard6 cali0 "$POD" fd00:192:168:103::70 accept
}

learnt() {
	ip -n "$NODE" -j neigh show 192.168.103.70 nud permanent
}

forbidden() {
	ip netns exec "$NODE" nft list counters table ip felix
	guarded6 cali0
}
