# title: flannel
# parts: real flanneld with vxlan on two nodes, etcd, the real bridge and host-local plugins called by cnitool, nftables
# shows: a bridge that returns a pod's own broadcasts (hairpin); a tunnel to the other node with an MTU that is 50 bytes smaller, and 70 bytes with IPv6, of which the pod learns by ICMP
# needs: bridge etcd etcdctl jq sysctl unshare
# tools: yes
# address: 10.244.1.7/24
# address6: fd00:10:244:1::7/64
# mtu: 1450
# remote-mtu6: 1430
# routes: 10.244.0.0/16_via_10.244.1.1 default_via_10.244.1.1
# gateway-answers: 10.244.1.1
# gateway-answers6: fd00:10:244:1::1
# local: 10.244.1.8
# remote: 10.244.2.7
# service: 10.96.0.1
# local6: fd00:10:244:1::8
# remote6: fd00:10:244:2::7
# service6: fd00:10:96::1
# tap: pod
# segments: yes
# flags: -

source "${BASH_SOURCE[0]%/*}/common.bash"

up() {
	two_nodes 10.244.1.0/24 fd00:10:244:1::/64
	ip -n "$NODE2" route del 10.244.1.0/24 # flanneld adds the routes
	ip -n "$NODE2" route del fd00:10:244:1::/64
	behind "$NODE2" "$SERVICE" 10.96.0.1 10.96.0 fd00:10:96::1
	start_etcd
	start_flanneld "$NODE" 192.0.2.1 fd00:192::1
	start_flanneld "$NODE2" 192.0.2.2 fd00:192::2
	wait_for "flannel's way there" tunnelled "$NODE" 10.244.2.7 fd00:10:244:2::7
	wait_for "flannel's way back" tunnelled "$NODE2" 10.244.1.7 fd00:10:244:1::7
	delegate "$NODE"
	delegate "$NODE2"
	cni_add "$NODE" "flannel-$NODE" "$POD" pod
	cni_add "$NODE" "flannel-$NODE" "$LOCAL"
	cni_add "$NODE2" "flannel-$NODE2" "$REMOTE"
	reflects pod
}

tunnelled() { # NODE ADDRESS ADDRESS6
	[ "$(ip -n "$1" -j route get "$2" | jq -r '.[0].dev')" = flannel.1 ] && [ "$(ip -n "$1" -j route get "$3" | jq -r '.[0].dev')" = flannel-v6.1 ]
}

# reflects DEVICE: checks that the port returns frames to their sender.
reflects() {
	bridge -n "$NODE" -d -j link show dev "$1" | jq -e '.[0].hairpin' >/dev/null
}

start_etcd() {
	in_background "$NODE" etcd etcd --data-dir "$WORK/etcd" \
		--listen-client-urls http://192.0.2.1:2379 --advertise-client-urls http://192.0.2.1:2379 \
		--listen-peer-urls http://127.0.0.1:2380
	wait_for etcd store get /coreos.com/network/config
	# nftables, because flanneld otherwise needs a kernel module of iptables.
	store put /coreos.com/network/config \
		'{"Network": "10.244.0.0/16", "SubnetLen": 24, "EnableIPv6": true, "IPv6Network": "fd00:10:244::/48", "IPv6SubnetLen": 64,
			"EnableNFTables": true, "Backend": {"Type": "vxlan"}}'
	# A lease without an end reserves a subnet for a node.
	store put '/coreos.com/network/subnets/10.244.1.0-24&fd00:10:244:1::-64' '{"PublicIP": "192.0.2.1", "PublicIPv6": "fd00:192::1"}'
	store put '/coreos.com/network/subnets/10.244.2.0-24&fd00:10:244:2::-64' '{"PublicIP": "192.0.2.2", "PublicIPv6": "fd00:192::2"}'
}

store() {
	ETCDCTL_API=3 ip netns exec "$NODE" etcdctl --endpoints=http://192.0.2.1:2379 "$@"
}

start_flanneld() { # NODE ADDRESS ADDRESS6
	in_background "$1" "flanneld-$1" "$TOOLS/flannel" -etcd-endpoints=http://192.0.2.1:2379 -iface="$2" -public-ipv6="$3" \
		-subnet-file="$WORK/subnet-$1.env" -ip-masq -iptables-forward-rules=false
	wait_for "flanneld's subnet file" test -s "$WORK/subnet-$1.env"
}

# delegate NODE: the network that flannel's plugin passes to the bridge plugin: flanneld's subnet, and hairpinMode and isDefaultGateway as
# in the usual kube-flannel list.
delegate() {
	local FLANNEL_NETWORK FLANNEL_SUBNET FLANNEL_IPV6_NETWORK FLANNEL_IPV6_SUBNET FLANNEL_MTU FLANNEL_IPMASQ
	source "$WORK/subnet-$1.env"
	jq -n --argjson mtu "$FLANNEL_MTU" --argjson masquerades "$FLANNEL_IPMASQ" '{
		type: "bridge", bridge: "cni0", mtu: $mtu, ipMasq: ($masquerades | not),
		isGateway: true, isDefaultGateway: true, hairpinMode: true
	}' | cni_network "flannel-$1" "${FLANNEL_SUBNET%.1/24}.0/24,${FLANNEL_IPV6_SUBNET%1/64}/64" "${FLANNEL_SUBNET%.1/24}.7,${FLANNEL_IPV6_SUBNET%1/64}7" \
		"$FLANNEL_NETWORK" "$FLANNEL_IPV6_NETWORK"
}

down() {
	end_background
}

learnt() {
	stations cni0
	neighbour 10.244.1.7
}
