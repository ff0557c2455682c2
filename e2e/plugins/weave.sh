# title: weave
# parts: bridge mode as weave configures it, two nodes on one segment through vxlan, nftables for its firewall and masquerading
# shows: a hairpin port that returns a pod's own frames, transmit checksums off, neighbours with a single probe, a second device that answers ARP for the gateway
# needs: nft ethtool sysctl bridge
# address: 10.32.0.5/12
# mtu: 1376
# routes: default_via_10.32.0.1 224.0.0.0/4
# gateway-answers: 10.32.0.1
# local: 10.32.0.6
# remote: 10.40.0.5
# service: 10.96.0.1
# tap: vethweplpod
# segments: -
# flags: -

source "${BASH_SOURCE[0]%/*}/common.bash"

# impatient NAMESPACE DEVICE: sets weave's neighbour timers: reachable for five seconds, then a single probe.
impatient() {
	ip netns exec "$1" sysctl -qw "net.ipv4.neigh.$2.base_reachable_time_ms=5000" \
		"net.ipv4.neigh.$2.delay_first_probe_time=2" "net.ipv4.neigh.$2.ucast_solicit=1"
}

# segment NODE GATEWAY OWN OTHER: a node's part of weave's network, which is one segment. vethwe-pcap, on which weave's router captures,
# is up without an address. So the node's kernel answers ARP for the gateway there, too, with another MAC.
segment() {
	ip -n "$1" link add weave mtu 1376 type bridge
	ip -n "$1" link set weave address "$(ip netns exec "$1" cat /sys/class/net/weave/address)"
	ip -n "$1" addr add "$2/12" dev weave
	ip -n "$1" link set weave up
	ip netns exec "$1" ethtool -K weave tx off >"$WORK/ethtool"
	impatient "$1" weave
	ip -n "$1" link add vethwe-bridge mtu 1376 type veth peer name vethwe-pcap mtu 1376
	ip -n "$1" link set vethwe-bridge master weave up
	ip -n "$1" link set vethwe-pcap up
	# Takes the place of weave's router, which sends captured frames to the other node.
	ip -n "$1" link add vxlan-6784 mtu 1376 type vxlan id 6784 dstport 6784 local "$3" remote "$4"
	ip -n "$1" link set vxlan-6784 master weave up
}

# attach NODE NAMESPACE DEVICE ADDRESS: a pod as weave's plugin configures it.
attach() {
	ip -n "$1" link add "$3" mtu 1376 type veth peer name eth0 mtu 1376 netns "$2"
	ip -n "$1" link set "$3" master weave up
	ip -n "$1" link set "$3" type bridge_slave hairpin on
	ip netns exec "$2" ethtool -K eth0 tx off >"$WORK/ethtool"
	impatient "$2" eth0
	ip netns exec "$2" nft -f - <<-'END'
		table ip weave {
			chain input {
				type filter hook input priority filter
				iifname "eth0" ip saddr 10.32.0.0/12 ip daddr 224.0.0.0/4 accept
				iifname "eth0" ip daddr 224.0.0.0/4 drop
			}
		}
	END
	ip -n "$2" addr add "$4/12" dev eth0
	ip -n "$2" link set eth0 up
	ip -n "$2" route add 224.0.0.0/4 dev eth0
}

# firewall MAC: weave's forwarding and masquerading on the node, and counters of what breaks them: packets to the gateway through
# vethwe-pcap, another MAC at the pod's port, and the pod's MAC at another port.
firewall() {
	ip netns exec "$NODE" nft -f - <<-END
		table ip weave {
			counter through-pcap { }
			chain prerouting {
				type filter hook prerouting priority raw
				iifname "vethwe-pcap" meta pkttype host counter name through-pcap
			}
			chain forward {
				type filter hook forward priority filter; policy drop;
				iifname "weave" accept
				oifname "weave" ct state established,related accept
			}
			chain postrouting {
				type nat hook postrouting priority srcnat
				ip saddr 10.32.0.0/12 ip daddr 224.0.0.0/4 return
				ip daddr 10.32.0.0/12 ip saddr != 10.32.0.0/12 masquerade
				ip saddr 10.32.0.0/12 ip daddr != 10.32.0.0/12 masquerade
			}
		}
		table bridge watch {
			counter foreign-mac { }
			counter foreign-port { }
			chain prerouting {
				type filter hook prerouting priority -300
				iifname "vethweplpod" ether saddr != $1 counter name foreign-mac
				iifname != "vethweplpod" ether saddr $1 counter name foreign-port
			}
		}
	END
}

up() {
	local n
	ip -n "$NODE" link add under type veth peer name under netns "$NODE2"
	ip -n "$NODE" addr add 192.0.2.1/24 dev under
	ip -n "$NODE2" addr add 192.0.2.2/24 dev under
	for n in "$NODE" "$NODE2"; do
		ip netns exec "$n" sysctl -qw net.ipv4.ip_forward=1
		ip -n "$n" link set under up
	done
	ip -n "$NODE" route add default via 192.0.2.2 # it has no route to the pods: without masquerading, no reply arrives
	segment "$NODE" 10.32.0.1 192.0.2.1 192.0.2.2
	segment "$NODE2" 10.40.0.1 192.0.2.2 192.0.2.1
	attach "$NODE" "$POD" vethweplpod 10.32.0.5
	attach "$NODE" "$LOCAL" vethwepllocal 10.32.0.6
	attach "$NODE2" "$REMOTE" vethweplremote 10.40.0.5
	ip -n "$POD" route add default via 10.32.0.1
	ip -n "$LOCAL" route add default via 10.32.0.1
	ip -n "$REMOTE" route add default via 10.40.0.1
	behind "$NODE2" "$SERVICE" 10.96.0.1 10.96.0
	firewall "$(ip netns exec "$POD" cat /sys/class/net/eth0/address)"
}

learnt() {
	ip -n "$NODE" neigh show to 10.32.0.5 dev weave | awk '{ print $1, $3 }'
	bridge -n "$NODE" fdb show br weave | awk -v mac="$(ip netns exec "$POD" cat /sys/class/net/eth0/address)" '$1 == mac { print $1, $3 }'
}

forbidden() {
	ip netns exec "$NODE" nft list counters
}
