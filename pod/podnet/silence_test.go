package podnet

import (
	"encoding/binary"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// answers tells whether the pod answers one ping of the node within a second. A yes is sure; a no may mean that the node
// had just asked for the MAC in vain.
func answers(node []string, address string) bool {
	return exec.Command(node[0], append(node[1:], "ping", "-c1", "-W1", address)...).Run() == nil
}

func TestTheKernelIsSilentWhileTaken(t *testing.T) {
	p := newPod(t)
	node := p.newNode()
	// An address of the pod on another interface, for which the kernel answers on eth0 too.
	p.ip("addr add 10.244.1.7/24 dev eth0\naddr add 10.244.1.200/32 dev lo")
	p.run(node[0], append(node[1:], "ip", "addr", "add", "10.244.1.1/24", "dev", "node0")...)
	for _, address := range []string{"10.244.1.7", "10.244.1.200"} {
		await(t, address+" answers before", func() bool { return answers(node, address) })
	}
	h := p.take()
	frames := packetSocket(t)
	p.ip("route add 10.244.1.1 dev eth0") // so that a kernel that heard the question could answer it
	for _, address := range []string{"10.244.1.7", "10.244.1.200"} {
		if answers(node, address) {
			t.Errorf("%s answers while taken", address)
		}
	}
	if n := pending(t, frames); n == 0 {
		t.Error("the packet socket saw nothing")
	}
	p.ip("route del 10.244.1.1 dev eth0")
	if err := h.GiveBack(); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"10.244.1.7", "10.244.1.200"} {
		await(t, address+" answers after", func() bool { return answers(node, address) })
	}
}

// packetSocket opens what the switch opens: a socket for all frames.
func packetSocket(t *testing.T) int {
	t.Helper()
	all := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(all))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// pending counts the ARP and IPv4 frames from outside that a packet socket has.
func pending(t *testing.T, fd int) int {
	t.Helper()
	frame, count := make([]byte, 2048), 0
	for {
		n, from, err := unix.Recvfrom(fd, frame, 0)
		if err != nil {
			return count
		}
		sender, ok := from.(*unix.SockaddrLinklayer)
		if !ok || n < 14 || sender.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if kind := binary.BigEndian.Uint16(frame[12:]); kind == unix.ETH_P_ARP || kind == unix.ETH_P_IP {
			count++
		}
	}
}

func TestSysctlsSilenceWhereNftablesCannot(t *testing.T) {
	p := newPod(t)
	node := p.newNode()
	p.ip("addr add 10.244.1.7/24 dev eth0\naddr add 10.244.1.200/32 dev lo")
	p.run(node[0], append(node[1:], "ip", "addr", "add", "10.244.1.1/24", "dev", "node0")...)
	p.sysctl("net/ipv4/conf/eth0/arp_ignore", "2")
	p.sysctl("net/ipv4/conf/eth0/forwarding", "1")
	before := p.snapshot()
	h, err := takeWithHooks(p.discover(), p.dir, p.log, testHooks{silence: withoutNftables})
	if err != nil {
		t.Fatal(err)
	}
	if got := p.readSysctl("net/ipv4/conf/eth0/arp_ignore") + p.readSysctl("net/ipv4/conf/eth0/forwarding"); got != "80" {
		t.Errorf("arp_ignore and forwarding are %s while taken, want 8 and 0", got)
	}
	if answers(node, "10.244.1.200") {
		t.Error("the kernel answers while taken")
	}
	if err := h.GiveBack(); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}

func TestSysctlsAreRecordedOnlyIfChanged(t *testing.T) {
	p := newPod(t)
	p.ip("addr add 10.244.1.7/24 dev eth0")
	p.sysctl("net/ipv4/conf/eth0/arp_ignore", "1")
	p.sysctl("net/ipv4/conf/eth0/forwarding", "0")
	h, err := takeWithHooks(p.discover(), p.dir, p.log, testHooks{silence: withoutNftables})
	if err != nil {
		t.Fatal(err)
	}
	defer h.GiveBack()
	r, err := readRecord(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Sysctls) != 1 || r.Sysctls[0] != (sysctl{"arp_ignore", "1"}) {
		t.Errorf("recorded %v, want arp_ignore alone", r.Sysctls)
	}
}

func TestSilence(t *testing.T) {
	p := newPod(t)
	node := p.newNode()
	p.ip("addr add 10.244.1.7/24 dev eth0")
	p.run(node[0], append(node[1:], "ip", "addr", "add", "10.244.1.1/24", "dev", "node0")...)
	quiet, err := Silence("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if table := p.run("nft", "list", "table", "netdev", tableName(p.link("eth0"))); !strings.Contains(table, "owner") {
		t.Errorf("the table does not belong to the process: %s", table)
	}
	_, err = Silence("eth0")
	wantError(t, err, ErrTaken, "eth0")
	_, err = Discover("eth0")
	wantError(t, err, ErrTaken, "eth0")
	if answers(node, "10.244.1.7") {
		t.Error("the kernel answers")
	}
	if err := quiet.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the kernel answers afterwards", func() bool { return answers(node, "10.244.1.7") })
	_, err = Silence("eth9")
	wantError(t, err, nil, "eth9", "eth0")
}

func (p *pod) link(name string) Link {
	p.t.Helper()
	conn, err := openRtnetlink()
	if err != nil {
		p.t.Fatal(err)
	}
	defer conn.close()
	l, err := conn.existingLink(name)
	if err != nil {
		p.t.Fatal(err)
	}
	return l
}
