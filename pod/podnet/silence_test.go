package podnet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTheKernelIsSilentWhileTaken(t *testing.T) {
	p := newPod(t)
	n := p.newNode("10.244.1.1/24")
	// The last address is on another interface. The kernel answers for it on eth0, too (arp_ignore 0), and goes on to.
	p.ip("addr add 10.244.1.7/24 dev eth0\naddr add 10.244.1.8/24 dev eth0\naddr add 10.244.1.200/32 dev lo")
	p.sysctl("net/ipv4/conf/eth0/proxy_arp", "1") // the kernel would answer ARP for addresses that it routes
	p.sysctl("net/ipv4/conf/eth0/forwarding", "1")
	addresses := []string{"10.244.1.7", "10.244.1.8"}
	for _, address := range append(addresses, "10.244.1.200") {
		n.awaitPing(address)
	}
	taken := p.take()
	frames := newPacketSocket(t)
	p.ip("route add 10.244.1.1 dev eth0\nroute add 10.244.1.0/29 dev lo") // the kernel could answer a request that it receives
	for _, address := range addresses {
		if n.pings(address) {
			t.Errorf("%s answers while taken", address)
		}
	}
	if received, sent := countFrames(t, frames); received == 0 || sent > 0 {
		t.Errorf("the packet socket has received %d frames, and the kernel has sent %d", received, sent)
	}
	n.awaitPing("10.244.1.200")
	p.ip("addr add 10.244.1.7/24 dev eth0") // another program adds it again
	countFrames(t, frames)
	if n.pings("10.244.1.7") {
		t.Error("10.244.1.7 answers after another program has added it")
	}
	_ = exec.Command("ping", "-c1", "-W1", "10.244.1.1").Run()
	if _, sent := countFrames(t, frames); sent > 1 { // an ARP request
		t.Errorf("the kernel sends %d frames from the address", sent)
	}
	p.ip("route del 10.244.1.1 dev eth0\nroute del 10.244.1.0/29 dev lo")
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		n.awaitPing(address)
	}
}

// TestOtherUsersOfTheInterfaceWorkOn checks that only the pod address is silenced, and not the interface: packets that are not about the
// address arrive at the pod's kernel, at packet sockets of one ethertype, and at devices on top.
func TestOtherUsersOfTheInterfaceWorkOn(t *testing.T) {
	for _, how := range []string{"taken", "muted"} {
		t.Run(how, func(t *testing.T) {
			p := newPod(t)
			n := p.newNode("10.244.1.1/24")
			p.ip("addr add 10.244.1.7/24 dev eth0\nneigh add 10.244.1.1 lladdr " + n.mac() + " nud permanent dev eth0")
			n.run("ip", "neigh", "add", "10.244.1.7", "lladdr", "0a:58:0a:f4:01:07", "nud", "permanent", "dev", "node0")
			n.run("ip", "route", "add", "224.0.0.0/4", "dev", "node0")
			if how == "taken" {
				p.take()
			} else {
				mute, err := Mute(p.discover())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = mute.Close() })
			}

			// A DHCP client has a packet socket for IPv4, and gets replies to its own address.
			client := newPacketSocketFor(t, unix.ETH_P_IP)
			n.sendUDP("10.244.1.7", 67, 68)
			await(t, "a DHCP client receives", func() bool { return receivedFrames(t, client) > 0 })
			// One may have a UDP socket, where the address is still there.
			if how == "muted" {
				server := listenUDP(t, "0.0.0.0", 68)
				n.sendUDP("10.244.1.7", 67, 68)
				await(t, "a DHCP client with a UDP socket receives", func() bool { return receivesUDP(server) })
				all := newPacketSocket(t)
				if err := unix.Sendto(server, []byte("text"), 0, &unix.SockaddrInet4{Port: 67, Addr: [4]byte{10, 244, 1, 1}}); err != nil {
					t.Error(err)
				}
				await(t, "a DHCP client with a UDP socket sends", func() bool { _, sent := countFrames(t, all); return sent > 0 })
			}
			// Multicast, as VRRP uses it.
			group := listenUDP(t, "0.0.0.0", 5000)
			if err := unix.SetsockoptIPMreqn(group, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP,
				&unix.IPMreqn{Multiaddr: [4]byte{224, 0, 0, 18}, Ifindex: int32(p.link("eth0").Index)}); err != nil {
				t.Fatal(err)
			}
			n.sendUDP("224.0.0.18", 5000, 5000)
			await(t, "a member of a group receives", func() bool { return receivesUDP(group) })
			// Another address of the interface, and a device on top.
			p.ip("addr add 10.244.1.99/32 dev eth0\nroute replace 10.244.1.1 dev eth0 src 10.244.1.99")
			n.awaitPing("10.244.1.99")
			p.ip("addr del 10.244.1.99/32 dev eth0\nlink add above link eth0 type macvlan mode bridge\nlink set above up\n" +
				"addr add 10.99.0.2/24 dev above")
			n.run("ip", "addr", "add", "10.99.0.1/24", "dev", "node0")
			n.awaitPing("10.99.0.2")
			if n.pings("10.244.1.7") {
				t.Error("the pod address answers")
			}
		})
	}
}

func TestSysctlsSilenceAKernelWithoutNftables(t *testing.T) {
	p := newPod(t)
	n := p.newNode("10.244.1.1/24")
	p.ip("addr add 10.244.1.7/24 dev eth0\naddr add 10.244.1.200/32 dev lo")
	p.sysctl("net/ipv4/conf/eth0/arp_ignore", "2")
	p.sysctl("net/ipv4/conf/eth0/forwarding", "1")
	before := p.snapshot()
	taken, err := takeWithHooks(p.discover(), p.dir, p.log, testHooks{silence: withoutNftables})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.readSysctl("net/ipv4/conf/eth0/arp_ignore") + p.readSysctl("net/ipv4/conf/eth0/forwarding"); got != "80" {
		t.Errorf("arp_ignore and forwarding are %s while taken, want 8 and 0", got)
	}
	if n.pings("10.244.1.200") {
		t.Error("the kernel answers while taken")
	}
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}

func TestOnlyChangedSysctlsAreRecorded(t *testing.T) {
	p := newPod(t)
	p.ip("addr add 10.244.1.7/24 dev eth0")
	p.sysctl("net/ipv4/conf/eth0/arp_ignore", "1")
	p.sysctl("net/ipv4/conf/eth0/forwarding", "0")
	taken, err := takeWithHooks(p.discover(), p.dir, p.log, testHooks{silence: withoutNftables})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.GiveBack()
	r, err := readRecord(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Sysctls) != 1 || r.Sysctls[0] != (sysctl{"arp_ignore", "1"}) {
		t.Errorf("recorded %v, want arp_ignore only", r.Sysctls)
	}
}

func TestSilenceExcludesTheKernelUntilItIsClosed(t *testing.T) {
	p := newPod(t)
	n := p.newNode("10.244.1.1/24")
	p.ip("addr add 10.244.1.7/24 dev eth0")
	silence, err := Silence("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if table := p.run("nft", "list", "table", "netdev", tableName(p.link("eth0"))); !strings.Contains(table, "owner") {
		t.Errorf("the table does not belong to the process: %s", table)
	}
	_, err = Silence("eth0")
	wantError(t, err, ErrTaken, "eth0")
	_, err = Discover("eth0", IPv4)
	wantError(t, err, ErrTaken, "eth0")
	if n.pings("10.244.1.7") {
		t.Error("the kernel answers")
	}
	if err := silence.Close(); err != nil {
		t.Fatal(err)
	}
	n.awaitPing("10.244.1.7")
	_, err = Silence("eth9")
	wantError(t, err, nil, "eth9", "eth0")
}

// TestSilenceOfTaggedFrames checks that the kernel receives nothing on a silenced link with tags whose VLAN is 0 either, which it takes for none.
func TestSilenceOfTaggedFrames(t *testing.T) {
	p := newPod(t)
	n := p.newNode("10.244.1.1/24")
	p.ip("addr add 10.244.1.7/24 dev eth0")
	server, frames := listenUDP(t, "0.0.0.0", 5353), newPacketSocket(t)
	tags := [][]byte{nil, {0x81, 0, 0, 0}, {0x81, 0, 0xe0, 0}, {0x88, 0xa8, 0, 0}}
	for _, tag := range tags {
		n.sendFrame(broadcastUDP(5353, tag))
		await(t, fmt.Sprintf("a datagram with the tag % x arrives", tag), func() bool { return receivesUDP(server) })
	}
	silence, err := Silence("eth0")
	if err != nil {
		t.Fatal(err)
	}
	receivedFrames(t, frames)
	for _, tag := range tags {
		n.sendFrame(broadcastUDP(5353, tag))
	}
	received := 0
	await(t, "the packet socket receives", func() bool { received += receivedFrames(t, frames); return received >= len(tags) })
	if err := silence.Close(); err != nil {
		t.Fatal(err)
	}
	later := listenUDP(t, "0.0.0.0", 5354)
	await(t, "a later datagram arrives", func() bool { n.sendFrame(broadcastUDP(5354, nil)); return receivesUDP(later) })
	if receivesUDP(server) {
		t.Error("a datagram arrives")
	}
}

// broadcastUDP returns the frame of a datagram to 255.255.255.255, with a VLAN tag or without one.
func broadcastUDP(port uint16, tag []byte) []byte {
	ip := []byte{0x45, 0, 0, 29, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 10, 244, 1, 1, 255, 255, 255, 255}
	sum := uint32(0)
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum>>16+sum&0xffff))
	udp := []byte{0, 9, byte(port >> 8), byte(port), 0, 9, 0, 0, 'x'}
	return slices.Concat(bytes.Repeat([]byte{0xff}, 6), []byte{2, 0, 0, 0, 0, 1}, tag, []byte{8, 0}, ip, udp)
}

func TestMuteLeavesTheAddressAndSilencesBothDirections(t *testing.T) {
	p := newPod(t)
	n := p.newNode("10.244.1.1/24")
	p.ip("addr add 10.244.1.7/24 dev eth0")
	n.awaitPing("10.244.1.7")
	// The state of a neighbour changes with time, unless it is permanent.
	p.ip("neigh replace 10.244.1.1 lladdr " + n.mac() + " dev eth0 nud permanent")
	before := p.snapshot()
	id := p.discover()
	mute, err := Mute(id)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Mute(id)
	wantError(t, err, ErrTaken)
	_, err = Discover("eth0", IPv4)
	wantError(t, err, ErrTaken)
	if got := p.addresses(); !strings.Contains(got, "10.244.1.7/24") {
		t.Errorf("addresses %q", got)
	}
	frames := newPacketSocket(t)
	if n.pings("10.244.1.7") {
		t.Error("the kernel answers while muted")
	}
	if receivedFrames(t, frames) == 0 {
		t.Error("the packet socket has received nothing")
	}
	if out, err := exec.Command("ping", "-c1", "-W1", "10.244.1.1").CombinedOutput(); err == nil {
		t.Errorf("the pod pings the node while muted: %s", out)
	}
	if err := mute.Close(); err != nil {
		t.Fatal(err)
	}
	n.awaitPing("10.244.1.7")
	p.wantAs(before)
}

// What the kernel forwards from the pod address, translated to it, is silenced. What it forwards from other addresses is not.
func TestAMutedKernelMasqueradesNothing(t *testing.T) {
	p := newPod(t)
	n := p.newNode("10.244.1.1/24")
	p.ip("addr add 10.244.1.7/24 dev eth0\nlink add inner type veth peer name inner-peer netns " + n.pid + "\nlink set inner up\n" +
		"addr add 10.99.0.1/24 dev inner\nroute add 203.0.113.0/24 via 10.244.1.1")
	p.sysctl("net/ipv4/ip_forward", "1")
	n.run("ip", "addr", "add", "10.99.0.2/24", "dev", "inner-peer")
	n.run("ip", "link", "set", "inner-peer", "up")
	n.run("ip", "route", "add", "203.0.113.0/24", "via", "10.99.0.1")
	p.ip("neigh add 10.244.1.1 lladdr " + n.mac() + " dev eth0 nud permanent")
	n.run("nft", "add table ip seen; add chain ip seen pre { type filter hook prerouting priority raw; }; "+
		"add rule ip seen pre iifname node0 ip daddr 203.0.113.1 counter")
	p.run("nft", "add table ip translate; add chain ip translate post { type nat hook postrouting priority srcnat; }")
	masquerade := func() {
		p.run("nft", "add rule ip translate post oifname eth0 masquerade")
	}
	forwards := func() bool {
		before := n.run("nft", "list", "table", "ip", "seen")
		n.pings("203.0.113.1") // no host has this address
		return n.run("nft", "list", "table", "ip", "seen") != before
	}
	await(t, "the pod forwards", forwards)
	mute, err := Mute(p.discover())
	if err != nil {
		t.Fatal(err)
	}
	if !forwards() {
		t.Error("a muted kernel does not forward from another address")
	}
	masquerade()
	if forwards() {
		t.Error("a muted kernel forwards from the pod address")
	}
	if err := mute.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the pod forwards again", forwards)
}
