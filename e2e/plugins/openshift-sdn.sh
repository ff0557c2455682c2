# title: OpenShift SDN
# parts: Open vSwitch's userspace datapath with OpenShift's flow table, a second node behind its vxlan tunnel, nftables for service addresses
# shows: source checks on ARP and IP, the whole cluster network on-link, delivery by destination address
# needs: ovs-vsctl ovs-ofctl ovs-appctl ovs-vswitchd ovsdb-server ovsdb-tool nft ethtool sysctl
# address: 10.128.0.2/23
# mtu: 1450
# routes: default_via_10.128.0.1 10.128.0.0/14 172.30.0.0/16_via_10.128.0.1 224.0.0.0/4
# gateway-answers: 10.128.0.1
# local: 10.128.0.3
# remote: 10.128.2.5
# service: 172.30.0.1
# tap: vethpod
# segments: -
# flags: -

source "${BASH_SOURCE[0]%/*}/common.bash"

# Open vSwitch keeps all its files in $WORK, so that the system's own instance is not affected.
export OVS_RUNDIR=$WORK OVS_LOGDIR=$WORK OVS_DBDIR=$WORK OVS_SYSCONFDIR=$WORK

# vsctl ARGUMENT...: ovs-vsctl, on the database in $WORK.
vsctl() {
	ip netns exec "$NODE" ovs-vsctl --db="unix:$WORK/db.sock" --timeout=20 "$@"
}

ofctl() {
	ip netns exec "$NODE" ovs-ofctl -O OpenFlow13 "$@"
}

open_vswitch() {
	local schema=/usr/share/openvswitch/vswitch.ovsschema
	ovsdb-tool create "$WORK/conf.db" "$schema"
	ip netns exec "$NODE" ovsdb-server "$WORK/conf.db" --remote="punix:$WORK/db.sock" --no-chdir --detach \
		--pidfile="$WORK/ovsdb-server.pid" --log-file="$WORK/ovsdb-server.log" --unixctl="$WORK/ovsdb-server.ctl"
	vsctl --no-wait init
	ip netns exec "$NODE" ovs-vswitchd "unix:$WORK/db.sock" --no-chdir --detach \
		--pidfile="$WORK/ovs-vswitchd.pid" --log-file="$WORK/ovs-vswitchd.log" --unixctl="$WORK/ovs-vswitchd.ctl"
}

# flows: OpenShift's flows in single-tenant mode, for the pods 10.128.0.2 on port 3 and 10.128.0.3 on port 4, and for another node with
# 10.128.2.0/23. Port 1 is the tunnel, port 2 the node itself.
flows() {
	cat <<-'END'
		table=0,priority=1000,ip,ct_state=-trk,actions=ct(table=0)
		table=0,priority=400,in_port=2,ip,nw_src=10.128.0.1,actions=goto_table:30
		table=0,priority=300,in_port=2,ip,nw_src=10.128.0.0/23,nw_dst=10.128.0.0/14,actions=goto_table:25
		table=0,priority=250,in_port=2,ip,nw_dst=224.0.0.0/4,actions=drop
		table=0,priority=200,in_port=1,arp,nw_src=10.128.0.0/14,nw_dst=10.128.0.0/23,actions=move:NXM_NX_TUN_ID[0..31]->NXM_NX_REG0[],goto_table:10
		table=0,priority=200,in_port=1,ip,nw_src=10.128.0.0/14,actions=move:NXM_NX_TUN_ID[0..31]->NXM_NX_REG0[],goto_table:10
		table=0,priority=200,in_port=1,ip,nw_dst=10.128.0.0/14,actions=move:NXM_NX_TUN_ID[0..31]->NXM_NX_REG0[],goto_table:10
		table=0,priority=200,in_port=2,arp,nw_src=10.128.0.1,nw_dst=10.128.0.0/14,actions=goto_table:30
		table=0,priority=200,in_port=2,ip,actions=goto_table:30
		table=0,priority=150,in_port=1,actions=drop
		table=0,priority=150,in_port=2,actions=drop
		table=0,priority=100,arp,actions=goto_table:20
		table=0,priority=100,ip,actions=goto_table:20
		table=0,priority=0,actions=drop
		table=10,priority=100,tun_src=192.0.2.2,actions=goto_table:30
		table=10,priority=0,actions=drop
		table=20,priority=300,udp,udp_dst=4789,actions=drop
		table=20,priority=100,in_port=3,arp,nw_src=10.128.0.2,arp_sha=00:00:0a:80:00:02/00:00:ff:ff:ff:ff,actions=load:0->NXM_NX_REG0[],goto_table:30
		table=20,priority=100,in_port=3,ip,nw_src=10.128.0.2,actions=load:0->NXM_NX_REG0[],goto_table:27
		table=20,priority=100,in_port=4,arp,nw_src=10.128.0.3,arp_sha=00:00:0a:80:00:03/00:00:ff:ff:ff:ff,actions=load:0->NXM_NX_REG0[],goto_table:30
		table=20,priority=100,in_port=4,ip,nw_src=10.128.0.3,actions=load:0->NXM_NX_REG0[],goto_table:27
		table=20,priority=0,actions=drop
		table=25,priority=100,ip,nw_src=10.128.0.2,actions=load:0->NXM_NX_REG0[],goto_table:27
		table=25,priority=100,ip,nw_src=10.128.0.3,actions=load:0->NXM_NX_REG0[],goto_table:27
		table=25,priority=0,actions=drop
		table=27,priority=500,actions=goto_table:30
		table=27,priority=0,actions=drop
		table=30,priority=0,actions=goto_table:31
		table=31,priority=300,arp,nw_dst=10.128.0.1,actions=output:2
		table=31,priority=300,ip,nw_dst=10.128.0.1,actions=output:2
		table=31,priority=250,ip,nw_dst=10.128.0.0/23,ct_state=+rpl,actions=ct(nat,table=70)
		table=31,priority=200,arp,nw_dst=10.128.0.0/23,actions=goto_table:40
		table=31,priority=200,ip,nw_dst=10.128.0.0/23,actions=goto_table:70
		table=31,priority=100,arp,nw_dst=10.128.0.0/14,actions=goto_table:50
		table=31,priority=100,ip,nw_dst=172.30.0.0/16,actions=goto_table:60
		table=31,priority=100,ip,nw_dst=10.128.0.0/14,actions=goto_table:90
		table=31,priority=50,in_port=1,ip,nw_dst=224.0.0.0/4,actions=goto_table:120
		table=31,priority=25,ip,nw_dst=224.0.0.0/4,actions=goto_table:110
		table=31,priority=0,ip,actions=goto_table:99
		table=31,priority=0,arp,actions=drop
		table=40,priority=100,arp,nw_dst=10.128.0.2,actions=output:3
		table=40,priority=100,arp,nw_dst=10.128.0.3,actions=output:4
		table=40,priority=0,actions=drop
		table=50,priority=100,arp,nw_dst=10.128.2.0/23,actions=move:NXM_NX_REG0[]->NXM_NX_TUN_ID[0..31],set_field:192.0.2.2->tun_dst,output:1
		table=50,priority=0,actions=drop
		table=60,priority=200,actions=output:2
		table=70,priority=100,ip,nw_dst=10.128.0.2,actions=load:0->NXM_NX_REG1[],load:3->NXM_NX_REG2[],goto_table:80
		table=70,priority=100,ip,nw_dst=10.128.0.3,actions=load:0->NXM_NX_REG1[],load:4->NXM_NX_REG2[],goto_table:80
		table=70,priority=0,actions=drop
		table=80,priority=300,ip,nw_src=10.128.0.1/32,actions=output:NXM_NX_REG2[]
		table=80,priority=200,actions=output:NXM_NX_REG2[]
		table=80,priority=0,actions=drop
		table=90,priority=100,ip,nw_dst=10.128.2.0/23,actions=move:NXM_NX_REG0[]->NXM_NX_TUN_ID[0..31],set_field:192.0.2.2->tun_dst,output:1
		table=90,priority=0,actions=drop
		table=99,priority=200,tcp,tcp_dst=53,nw_dst=192.0.2.1,actions=output:2
		table=99,priority=200,udp,udp_dst=53,nw_dst=192.0.2.1,actions=output:2
		table=99,priority=0,actions=goto_table:100
		table=100,priority=0,actions=goto_table:101
		table=101,priority=150,ct_state=+rpl,actions=output:2
		table=101,priority=0,actions=output:2
		table=110,priority=0,actions=drop
		table=111,priority=100,actions=goto_table:120
		table=120,priority=0,actions=drop
	END
}

# no_offloads NAMESPACE DEVICE: disables offloads. The userspace datapath reads a veth with a packet socket, and discards segments and
# incomplete checksums. A real node's datapath is in the kernel and accepts them.
no_offloads() {
	ip netns exec "$1" ethtool -K "$2" tx off >"$WORK/ethtool"
}

# withhold DEVICE: withholds the frames of a device from the node's kernel. The userspace datapath only receives copies, so the kernel would
# also answer ARP for the gateway on this device, and forward packets a second time.
withhold() {
	ip netns exec "$NODE" nft -f - <<-END
		table netdev withheld-$1 {
			chain ingress {
				type filter hook ingress device "$1" priority filter; policy drop;
			}
		}
	END
}

# underlay: the network between the nodes. A tunnel of the userspace datapath needs a bridge of the same datapath.
underlay() {
	ip -n "$NODE" link add eth-under type veth peer name under netns "$NODE2"
	withhold eth-under
	ip -n "$NODE" link set eth-under up
	vsctl add-br under -- set bridge under datapath_type=netdev -- add-port under eth-under
	ip -n "$NODE" addr add 192.0.2.1/24 dev under
	ip -n "$NODE" link set under up
	ip -n "$NODE" route add default via 192.0.2.2
	ip -n "$NODE2" addr add 192.0.2.2/24 dev under
	ip -n "$NODE2" link set under up
	no_offloads "$NODE2" under
}

# sdn: the bridge of the first node, as OpenShift's node process configures it.
sdn() {
	vsctl add-br br0 -- set bridge br0 datapath_type=netdev fail_mode=secure protocols=OpenFlow13
	ofctl set-frags br0 nx-match
	vsctl add-port br0 vxlan0 -- set interface vxlan0 type=vxlan ofport_request=1 \
		options:remote_ip=flow options:key=flow options:dst_port=4789
	vsctl add-port br0 tun0 -- set interface tun0 type=internal mtu_request=1450 ofport_request=2
	ip -n "$NODE" addr add 10.128.0.1/23 dev tun0
	ip -n "$NODE" link set tun0 up
	ip -n "$NODE" route add 10.128.0.0/14 dev tun0 scope link
	ip -n "$NODE" route add 172.30.0.0/16 dev tun0
	ip netns exec "$NODE" sysctl -qw net.ipv4.ip_forward=1
	# The userspace conntrack withholds the fragments of a packet beyond the 32nd, and emits them later as if they had come from another
	# port, into the drop rule that the test watches. The kernel's conntrack has no such limit. So fragments are not reassembled here.
	ovs-appctl --target="$WORK/ovs-vswitchd.ctl" dpctl/ipf-set-disabled v4 >"$WORK/ipf"
	flows >"$WORK/flows"
	ofctl --bundle add-flows br0 "$WORK/flows"
}

# services: translates a service address to a host behind the other node, which has no route to the pods.
services() {
	ip netns exec "$NODE" nft -f - <<-'END'
		table ip services {
			chain prerouting {
				type nat hook prerouting priority dstnat
				ip daddr 172.30.0.1 dnat to 203.0.113.10
			}
			chain postrouting {
				type nat hook postrouting priority srcnat
				ip saddr 10.128.0.0/14 ip daddr != 10.128.0.0/14 masquerade
			}
		}
	END
}

# workload NAMESPACE ADDRESS: configures a pod's eth0 as OpenShift's plugin does.
workload() {
	local a b c d
	IFS=. read -r a b c d <<<"$2"
	ip -n "$1" link set eth0 address "$(printf '0a:58:%02x:%02x:%02x:%02x' "$a" "$b" "$c" "$d")"
	ip -n "$1" addr add "$2/23" dev eth0
	ip -n "$1" link set eth0 up
	ip -n "$1" route add 224.0.0.0/4 dev eth0
	ip -n "$1" route add 10.128.0.0/14 dev eth0
	ip -n "$1" route add 172.30.0.0/16 via "${2%.*}.1"
	ip -n "$1" route add default via "${2%.*}.1"
	ip netns exec "$1" nft -f - <<-'END'
		table ip openshift-block-output {
			chain block {
				tcp dport { 22623, 22624 } tcp flags syn / fin,syn,rst,ack reject
				ip daddr 169.254.169.254 tcp dport != 53 reject
				ip daddr 169.254.169.254 udp dport != 53 reject
			}
			chain output {
				type filter hook output priority filter
				jump block
			}
			chain forward {
				type filter hook forward priority filter
				jump block
			}
		}
	END
}

# attach NAMESPACE ADDRESS DEVICE PORT: adds a pod to the first node.
attach() {
	ip -n "$NODE" link add "$3" mtu 1450 type veth peer name eth0 mtu 1450 netns "$1"
	withhold "$3"
	ip -n "$NODE" link set "$3" up
	no_offloads "$1" eth0
	workload "$1" "$2"
	vsctl add-port br0 "$3" -- set interface "$3" "ofport_request=$4" "external_ids:ip=$2"
}

# second_node: the other node, with the kernel's vxlan device instead of Open vSwitch.
second_node() {
	ip netns exec "$NODE2" sysctl -qw net.ipv4.ip_forward=1
	ip -n "$NODE2" link add tun0 mtu 1450 type bridge
	ip -n "$NODE2" link add vxlan0 mtu 1450 type vxlan id 0 dstport 4789 local 192.0.2.2 remote 192.0.2.1
	ip -n "$NODE2" link set vxlan0 master tun0 up
	ip -n "$NODE2" addr add 10.128.2.1/23 dev tun0
	ip -n "$NODE2" link set tun0 up
	ip -n "$NODE2" link add vethremote mtu 1450 type veth peer name eth0 mtu 1450 netns "$REMOTE"
	ip -n "$NODE2" link set vethremote master tun0 up
	workload "$REMOTE" 10.128.2.5
	behind "$NODE2" "$SERVICE" 203.0.113.10 203.0.113
}

up() {
	open_vswitch
	underlay
	sdn
	services
	attach "$POD" 10.128.0.2 vethpod 3
	attach "$LOCAL" 10.128.0.3 vethlocal 4
	second_node
}

down() {
	local daemon pid
	for daemon in ovs-vswitchd ovsdb-server; do
		[ -s "$WORK/$daemon.pid" ] || continue
		pid=$(<"$WORK/$daemon.pid")
		kill "$pid" 2>/dev/null || continue
		while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	done
}

learnt() {
	ip -n "$NODE" neigh show to 10.128.0.2 dev tun0 | awk '{ print $1, $3 }'
	ofctl --no-stats dump-flows br0
}

# forbidden: the drop rule of table 0, and those of table 20 for foreign sources and for vxlan.
forbidden() {
	ofctl dump-flows br0 | sed -n '/table=\(0, .*priority=0\|20,.*\) actions=drop/s/.*\(table=[0-9]*\),.*\(n_packets=[0-9]*\).*\(priority=[^ ]*\).*/\1 \3 \2/p'
}
