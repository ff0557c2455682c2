# title: ipvlan-like
# parts: veth, with ipvlan's parent emulated at the node's end (nftables, netdev ingress and egress): delivery by the addresses of the pod interface, one MAC for all pods
# shows: with `--address mute` the address stays on the interface, so that frames still arrive, and the kernel is silent; other pods of the node send from the pod's own MAC
# needs: nft mkfifo jq sysctl
# address: 10.1.0.7/24
# mtu: 1500
# routes: default_via_10.1.0.1
# gateway-answers: 10.1.0.1
# local: 10.1.0.8
# remote: 10.2.0.5
# service: 10.96.0.1
# tap: slave0
# segments: yes
# flags: --address mute
# address-stays: yes

source "${BASH_SOURCE[0]%/*}/common.bash"

shared=02:00:00:00:00:01 # the MAC of the parent and of every pod

# slave NAMESPACE DEVICE ADDRESS: a pod interface. The node is the router of the segment, and answers ARP for the pods on other
# slaves.
slave() {
	ip -n "$NODE" link add "$2" type veth peer name eth0 address "$shared" netns "$1"
	ip -n "$NODE" link set "$2" up
	ip netns exec "$NODE" sysctl -qw "net.ipv4.conf.$2.proxy_arp=1" "net.ipv4.neigh.$2.proxy_delay=0"
	ip -n "$NODE" addr add 10.1.0.1/32 dev "$2"
	ip -n "$NODE" route add "$3/32" dev "$2" scope link src 10.1.0.1
	ip -n "$1" link set eth0 up
	ip -n "$1" addr add "$3/24" dev eth0
	ip -n "$1" route add default via 10.1.0.1
}

# parent DEVICE OTHER: emulates ipvlan's parent at a slave. OTHER is the address of the pod on the other slave.
#   from_pod  makes the node accept a frame for the other pod, whose destination is the shared MAC
#   to_pod    sets the source of a frame from the other pod to the shared MAC, in Ethernet and in ARP. It delivers frames for groups and
#             for the addresses in the set, and counts and drops all others
parent() {
	ip netns exec "$NODE" nft -f - <<-EOF
		table netdev parent-$1 {
			set addresses { type ipv4_addr; }
			counter lost { }
			chain from_pod {
				type filter hook ingress device "$1" priority 0
				ether daddr $shared ip daddr $2 meta pkttype set unicast
			}
			chain to_pod {
				type filter hook egress device "$1" priority 0
				ip saddr $2 ether saddr set $shared
				arp saddr ip $2 ether saddr set $shared arp saddr ether set $shared
				ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00 accept
				ip daddr @addresses accept
				arp daddr ip @addresses accept
				counter name lost drop
			}
		}
	EOF
}

# deliver NAMESPACE DEVICE: keeps the set equal to the addresses of the pod interface.
deliver() {
	local addresses
	addresses=$(ip -n "$1" -o -4 addr show dev eth0 | sed -E 's|.* inet ([0-9.]+).*|\1|' | paste -sd,)
	{
		echo "flush set netdev parent-$2 addresses"
		[ -z "$addresses" ] || echo "add element netdev parent-$2 addresses { $addresses }"
	} | ip netns exec "$NODE" nft -f -
}

# follow: calls deliver after every change of addresses, of which the kernel notifies ipvlan.
follow() {
	while read -r _; do
		deliver "$POD" slave0
	done <"$WORK/changes"
}

up() {
	two_nodes 10.1.0.0/24
	slave "$POD" slave0 10.1.0.7
	slave "$LOCAL" slave1 10.1.0.8
	parent slave0 10.1.0.8
	parent slave1 10.1.0.7
	mkfifo "$WORK/changes"
	in_background "$POD" monitor bash -c 'exec ip -o -4 monitor address >"$WORK/changes"'
	in_background "$NODE" follow bash -euo pipefail -c 'source "$1"; follow' follow "${BASH_SOURCE[0]}"
	deliver "$POD" slave0
	deliver "$LOCAL" slave1
	behind "$NODE2" "$REMOTE" 10.2.0.5 10.2.0
	behind "$NODE2" "$SERVICE" 10.96.0.1 10.96.0
}

down() {
	end_background
}

learnt() {
	ip -n "$NODE" -j neigh show dev slave0 | jq -c 'map({dst, lladdr})'
}

forbidden() {
	ip netns exec "$NODE" nft list counters table netdev parent-slave0
}
