package keeper

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/tap"
)

// Requests of userfaultfd (linux/userfaultfd.h), for 64 bits.
const (
	uffdAPI      = 0xc018aa3f // struct uffdio_api
	uffdRegister = 0xc020aa00 // struct uffdio_register
	uffdZeroPage = 0xc020aa04 // struct uffdio_zeropage
)

// A heldPage is two pages of memory, of which the kernel cannot read the second one before it is released.
type heldPage struct {
	t      testing.TB
	memory []byte
	fault  int // the descriptor of userfaultfd
}

func newHeldPage(t testing.TB) *heldPage {
	t.Helper()
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		t.Skipf("needs userfaultfd: %v", errno)
	}
	page := os.Getpagesize()
	memory, err := unix.Mmap(-1, 0, 2*page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	memory[page-1] = 0
	h := &heldPage{t, memory, int(fd)}
	h.request(uffdAPI, 0xaa, 0, 0)
	h.request(uffdRegister, h.second(), uint64(page), 1 /* UFFDIO_REGISTER_MODE_MISSING */, 0)
	return h
}

func (h *heldPage) second() uint64 {
	return uint64(uintptr(unsafe.Pointer(&h.memory[len(h.memory)/2])))
}

func (h *heldPage) request(number uintptr, arguments ...uint64) {
	h.t.Helper()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(h.fault), number, uintptr(unsafe.Pointer(&arguments[0]))); errno != 0 {
		h.t.Fatalf("userfaultfd: %v", errno)
	}
}

// locks makes a thread lock a socket until the returned function is called: the kernel reads the second half of struct linger with the lock held.
func (h *heldPage) locks(fd int) (release func()) {
	h.t.Helper()
	thread, ended := make(chan int, 1), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		thread <- unix.Gettid()
		_, _, _ = unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER, uintptr(h.second()-4), 8, 0)
	}()
	waiting := []unix.PollFd{{Fd: int32(h.fault), Events: unix.POLLIN}}
	if n, err := unix.Poll(waiting, int(testTimeout.Milliseconds())); n != 1 || err != nil {
		h.t.Fatalf("the thread %d does not wait: %v", <-thread, err)
	}
	return func() {
		h.request(uffdZeroPage, h.second(), uint64(len(h.memory)/2), 0, 0)
		<-ended
		_ = errors.Join(unix.Close(h.fault), unix.Munmap(h.memory))
	}
}

// TestHeldSocket checks that a process which keeps the uplink's socket locked neither holds up the give-back of the address nor the next switch.
func TestHeldSocket(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	for name, end := range map[string]func(f *fake){
		"it is asked to end":           (*fake).ends,
		"it reopens the uplink before": func(f *fake) { f.sends(reopenMessage(1)); f.ends() },
	} {
		t.Run(name, func(t *testing.T) {
			back := k.back.Load()
			f := k.connect()
			f.sends(helloMessage())
			f.receives("grant", 1)
			f.receives("opened", 1)
			_, uplink := f.receives("opened", 1)
			f.sends(readyMessage())
			f.receives("begin", 0)
			f.starts(k.testKeeper)
			release := newHeldPage(t).locks(uplink[0])
			defer release()
			asked := time.Now()
			end(f)
			await(t, "the address to be given back", func() bool { return k.back.Load() == back+1 })
			if took := time.Unix(0, k.backAt.Load()).Sub(asked); took > soon {
				t.Errorf("given back after %s", took)
			}
			k.wantBack(t)
		})
	}
	k.running().ends()
	k.wantBack(t)
}

// TestWatchHeldSocket checks that the watchdog goes on to restore the interface although the socket is locked that it revokes.
func TestWatchHeldSocket(t *testing.T) {
	newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram}) // for the interface
	d, err := tap.OpenDevice(tap.Spec{Kind: tap.KindPacket, Name: "eth0"}, tap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(d.FD)
	release := newHeldPage(t).locks(d.FD)
	defer release()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Sendmsg(pair[0], []byte{watchUplink}, unix.UnixRights(d.FD), nil, 0)
	}
	if err = errors.Join(err, unix.Close(pair[0])); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[1])
	ended := make(chan bool, 1)
	go func() {
		end, err := Watch(pair[1])
		ended <- end == EndKilled && err == nil
	}()
	if !within(t, "the end of Watch", ended) {
		t.Error("Watch does not report that the keeper was killed")
	}
}

// TestHoldRevokes checks that a switch which has ended unasked, and keeps the uplink's socket, neither receives with it any more nor has an effect on
// that of the next switch.
func TestHoldRevokes(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	k.inside(func() { k.loop.cfg.HoldSwitch = time.Minute })
	f := k.connect()
	f.sends(helloMessage())
	f.receives("grant", 1)
	f.receives("opened", 1)
	_, old := f.receives("opened", 1)
	f.sends(readyMessage())
	f.receives("begin", 0)
	f.starts(k.testKeeper)
	k.receivesUplink(t, old[0])
	f.Close()
	await(t, "the hold", func() (holds bool) {
		k.inside(func() { holds = k.loop.state == holding })
		return holds
	})
	wantEmpty(t, old[0])
	next := k.connect()
	next.sends(helloMessage())
	next.receives("grant", 1)
	next.receives("opened", 1)
	_, uplink := next.receives("opened", 1)
	k.receivesUplink(t, uplink[0])
	wantEmpty(t, old[0])
	next.sends(byeMessage())
	next.receivesEnd()
	k.wantBack(t)
}

// TestHoldOfLockedSockets checks that switches which end unasked, and keep their sockets from being revoked, do so a bounded number of times.
func TestHoldOfLockedSockets(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	k.inside(func() { k.loop.cfg.HoldSwitch = time.Minute })
	for range maxUnrevoked {
		f := k.connect()
		f.sends(helloMessage())
		f.receives("grant", 1)
		f.receives("opened", 1)
		_, uplink := f.receives("opened", 1)
		if err := unix.SetsockoptInt(uplink[0], unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1); err != nil {
			t.Fatal(err)
		}
		f.sends(readyMessage())
		f.receives("begin", 0)
		f.starts(k.testKeeper)
		f.Close()
		await(t, "the end of the switch", func() (ended bool) {
			k.inside(func() { ended = k.loop.current == nil && len(k.loop.sessions) == 0; k.loop.held.losses = nil })
			return ended
		})
	}
	k.wantBack(t)
	f := k.connect()
	f.sends(helloMessage())
	if m, _ := f.receives("fault", 0); !strings.Contains(m.Fault.Text, "start the keeper again") {
		t.Errorf("refused with %q", m.Fault.Text)
	}
}
