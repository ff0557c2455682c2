package keeper

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/hypervisor"
)

// TestTheKernelIsKeptOutOfAnInheritedDevice checks that the pod's kernel receives nothing from a guest behind an inherited packet socket.
func TestTheKernelIsKeptOutOfAnInheritedDevice(t *testing.T) {
	if os.Getenv(insideVariable) == "" {
		t.Skip("needs root, for a network namespace")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("needs nft")
	}
	ip(t, "link add guest0 type veth peer name far0")
	t.Cleanup(func() { ip(t, "link del guest0") })
	link, err := net.InterfaceByName("guest0")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0) // without SOCK_CLOEXEC, as one of the parent process
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Index})
	}
	if err != nil {
		t.Fatal(err)
	}
	o := &opener{log: zap.NewNop(), portSpec: portSpec{guest: true, spec: hypervisor.Attachment{Kind: hypervisor.KindFD, Name: strconv.Itoa(fd)}}}
	h, err := o.openOnce()
	if err != nil {
		t.Fatal(err)
	}
	isSilenced := func() bool {
		tables, err := exec.Command("nft", "list", "tables", "netdev").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, tables)
		}
		return strings.Contains(string(tables), fmt.Sprintf("podswitch-%d", link.Index))
	}
	if !isSilenced() {
		t.Error("the kernel is not silenced")
	}
	o.abandon(h)
	if isSilenced() {
		t.Error("the kernel is silenced afterwards")
	}
}

// TestSilenceOfTheNextSwitch checks that the pod's kernel is kept out of the guest's device for the next switch, although the last one has
// asked for that device again, and has ended while it was being opened.
func TestSilenceOfTheNextSwitch(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindPacket, Name: "tap0"})
	begins := func() *fake {
		f := k.connect()
		f.sends(helloMessage())
		f.receives("grant", 1)
		for range 2 {
			f.receives("opened", 1)
		}
		f.sends(readyMessage())
		f.receives("begin", 0)
		f.starts(k.testKeeper)
		return f
	}
	f := begins()
	var lent *opener
	k.inside(func() { lent = k.loop.resources.ports[0].lend() })
	f.sends(byeMessage())
	f.receivesEnd("guest_state", "stop")
	k.wantBack(t)
	lent.keepKernelOut("tap0")
	f = begins()
	lent.abandon(nil)
	link, err := net.InterfaceByName("tap0")
	if err != nil {
		t.Fatal(err)
	}
	tables, err := exec.Command("nft", "list", "tables", "netdev").CombinedOutput()
	if err != nil || !strings.Contains(string(tables), fmt.Sprintf("podswitch-%d\n", link.Index)) {
		t.Errorf("the kernel is not silenced on the guest's device: %v, %s", err, tables)
	}
	f.sends(byeMessage())
	f.receivesEnd("guest_state", "stop")
	k.wantBack(t)
}
