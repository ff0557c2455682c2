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
