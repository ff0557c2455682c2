# title: OVN-Kubernetes-like
# parts: bridge without learning that answers ARP for its pods, nftables for port security on every field, routes with their own MTU
# shows: only the pod's MAC and address pass, in every field and both directions; a path MTU below the link's
# needs: nft sysctl bridge
# address: 10.129.0.7/24
# address6: fd00:10:129::7/64
# mtu: 1350
# routes: default_via_10.129.0.1 10.128.0.0/14_via_10.129.0.1 172.30.0.0/16_via_10.129.0.1
# gateway-answers: 10.129.0.1
# gateway-answers6: fd00:10:129::1
# local: 10.129.0.8
# remote: 10.130.0.5
# service: 172.30.0.1
# local6: fd00:10:129::8
# remote6: fd00:10:130::5
# service6: fd00:172:30::1
# tap: pod0
# segments: yes
# flags: -

source "${BASH_SOURCE[0]%/*}/common.bash"

# annotated ADDRESS: prints the MAC that OVN-Kubernetes derives from an address.
annotated() {
	local a b c d
	IFS=. read -r a b c d <<<"$1"
	printf '0a:58:%02x:%02x:%02x:%02x\n' "$a" "$b" "$c" "$d"
}

# logical_switch GATEWAY: creates the switch. The gateway is the router's port, with a MAC that is derived in the same way.
logical_switch() {
	ip -n "$NODE" link add br-int address "$(annotated "$1")" mtu 1400 type bridge
	ip -n "$NODE" addr add "$1/24" dev br-int
	ip -n "$NODE" addr add fd00:10:129::1/64 dev br-int nodad
	ip -n "$NODE" link set br-int up
}

# port NAMESPACE DEVICE ADDRESS ADDRESS6: a pod and its logical port. The port has static entries and learns nothing. The switch itself
# answers ARP requests of the other ports, and does not flood frames for an unknown MAC.
port() {
	local mac
	mac=$(annotated "$3")
	ip -n "$NODE" link add "$2" mtu 1400 type veth peer name eth0 address "$mac" mtu 1400 netns "$1"
	ip -n "$NODE" link set "$2" master br-int up
	ip -n "$NODE" link set "$2" type bridge_slave learning off flood off neigh_suppress on
	bridge -n "$NODE" fdb add "$mac" dev "$2" master static
	ip -n "$NODE" neigh add "$3" lladdr "$mac" dev br-int nud permanent
	ip -n "$NODE" neigh add "$4" lladdr "$mac" dev br-int nud permanent
	ip -n "$1" addr add "$3/24" dev eth0
	ip -n "$1" link set eth0 up
	ip -n "$1" route add default via "${3%.*}.1" mtu 1350
	ip -n "$1" route add 10.128.0.0/14 via "${3%.*}.1" mtu 1350
	ip -n "$1" route add 172.30.0.0/16 via "${3%.*}.1" mtu 1350
	ip -n "$1" addr add "$4/64" dev eth0 nodad
	ip -n "$1" route add default via fd00:10:129::1 mtu 1350
}

# link_local MAC: prints the link-local address that a MAC gives (RFC 4291, appendix A).
link_local() {
	local a b c d e f
	IFS=: read -r a b c d e f <<<"$1"
	printf 'fe80::%x:%x:%x:%x\n' "0x$(printf '%02x' $((0x$a ^ 2)))$b" "0x${c}ff" "0xfe$d" "0x$e$f"
}

# hex ADDRESS6: prints an address of the form a:b:c::d with all its digits.
hex() {
	local a b c _ d
	IFS=: read -r a b c _ d <<<"$1"
	printf '%04x%04x%04x%016x%04x\n' "0x$a" "0x$b" "0x$c" 0 "0x$d"
}

# port_security DEVICE ADDRESS ADDRESS6: restricts what the pod may send and receive.
port_security() {
	ip netns exec "$NODE" nft -f - <<-END
		table bridge port-security {
			counter mac { }
			counter arp-mac { }
			counter arp-address { }
			counter address { }
			counter address6 { }
			counter discovery-mac { }
			counter discovery-target { }
			counter to-others { }
			chain prerouting {
				type filter hook prerouting priority -300
				iifname "$1" jump from-pod
			}
			chain from-pod {
				ether saddr != $(annotated "$2") counter name mac drop
				arp saddr ether != $(annotated "$2") counter name arp-mac drop
				arp saddr ip != $2 counter name arp-address drop
				ip saddr != $2 counter name address drop
				ip6 saddr != { $3, $(link_local "$(annotated "$2")") } counter name address6 drop
				icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } @th,208,48 != 0x$(annotated "$2" | tr -d :) counter name discovery-mac drop
				icmpv6 type nd-neighbor-advert @th,64,16 0xfd00 @th,64,128 != 0x$(hex "$3") counter name discovery-target drop
			}
			chain postrouting {
				type filter hook postrouting priority 300
				oifname "$1" ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether daddr != $(annotated "$2") counter name to-others drop
			}
		}
	END
}

up() {
	two_nodes 10.129.0.0/24 fd00:10:129::/64
	logical_switch 10.129.0.1
	port "$POD" pod0 10.129.0.7 fd00:10:129::7
	port "$LOCAL" local0 10.129.0.8 fd00:10:129::8
	port_security pod0 10.129.0.7 fd00:10:129::7
	behind "$NODE2" "$REMOTE" 10.130.0.5 10.130.0 fd00:10:130::5
	behind "$NODE2" "$SERVICE" 172.30.0.1 172.30.0 fd00:172:30::1
}

learnt() {
	ip -n "$NODE" neigh show to 10.129.0.7
	ip -n "$NODE" neigh show to fd00:10:129::7
	bridge -n "$NODE" fdb show br br-int | grep -vE '^(33:33|01:00)' | sort
}

forbidden() {
	ip netns exec "$NODE" nft list counters table bridge port-security
}
