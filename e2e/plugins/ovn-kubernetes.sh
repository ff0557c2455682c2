# title: OVN-Kubernetes-like
# parts: bridge without learning that answers ARP for its pods, nftables for port security on every field, routes with their own MTU
# shows: only the pod's MAC and address pass, in every field and both directions; a path MTU below the link's
# needs: nft sysctl bridge
# address: 10.129.0.7/24
# mtu: 1350
# routes: default_via_10.129.0.1 10.128.0.0/14_via_10.129.0.1 172.30.0.0/16_via_10.129.0.1
# gateway-answers: 10.129.0.1
# local: 10.129.0.8
# remote: 10.130.0.5
# service: 172.30.0.1
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
	ip -n "$NODE" link set br-int up
}

# port NAMESPACE DEVICE ADDRESS: a pod and its logical port. The port has static entries and learns nothing. The switch itself
# answers ARP requests of the other ports, and does not flood frames for an unknown MAC.
port() {
	local mac
	mac=$(annotated "$3")
	ip -n "$NODE" link add "$2" mtu 1400 type veth peer name eth0 address "$mac" mtu 1400 netns "$1"
	ip -n "$NODE" link set "$2" master br-int up
	ip -n "$NODE" link set "$2" type bridge_slave learning off flood off neigh_suppress on
	bridge -n "$NODE" fdb add "$mac" dev "$2" master static
	ip -n "$NODE" neigh add "$3" lladdr "$mac" dev br-int nud permanent
	ip -n "$1" addr add "$3/24" dev eth0
	ip -n "$1" link set eth0 up
	ip -n "$1" route add default via "${3%.*}.1" mtu 1350
	ip -n "$1" route add 10.128.0.0/14 via "${3%.*}.1" mtu 1350
	ip -n "$1" route add 172.30.0.0/16 via "${3%.*}.1" mtu 1350
}

# port_security DEVICE ADDRESS: restricts what the pod may send and receive.
port_security() {
	ip netns exec "$NODE" nft -f - <<-END
		table bridge port-security {
			counter mac { }
			counter arp-mac { }
			counter arp-address { }
			counter address { }
			counter version-6 { }
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
				ether type ip6 counter name version-6 drop
			}
			chain postrouting {
				type filter hook postrouting priority 300
				oifname "$1" ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether daddr != $(annotated "$2") counter name to-others drop
			}
		}
	END
}

up() {
	two_nodes 10.129.0.0/24
	logical_switch 10.129.0.1
	port "$POD" pod0 10.129.0.7
	port "$LOCAL" local0 10.129.0.8
	port_security pod0 10.129.0.7
	behind "$NODE2" "$REMOTE" 10.130.0.5 10.130.0
	behind "$NODE2" "$SERVICE" 172.30.0.1 172.30.0
}

learnt() {
	ip -n "$NODE" neigh show to 10.129.0.7
	bridge -n "$NODE" fdb show br br-int | grep -vE '^(33:33|01:00)' | sort
}

forbidden() {
	ip netns exec "$NODE" nft list counters table bridge port-security
}
