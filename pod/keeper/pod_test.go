package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/tap"
)

// A podKeeper is a keeper of a pod interface with an address, in the tests' own network namespace.
type podKeeper struct {
	*testKeeper
	before string // output of pod before the keeper
}

// TestTapOfAPodWithALargeMTU checks that a tap gets the largest MTU that the kernel accepts, and that the guest is offered the same.
func TestTapOfAPodWithALargeMTU(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "tap7"})
	ip(t, "link set eth0 mtu 65535")
	f := k.connect()
	f.sends(helloMessage())
	m, _ := f.receives("grant", 1)
	if d := m.Grant.Forwarder.Delegate; d == nil || d.LinkMTU != 65535 || d.Offer.MTU != 65521 {
		t.Errorf("the grant describes %+v", d)
	}
	if out, err := exec.Command("ip", "link", "show", "dev", "tap7").CombinedOutput(); err != nil || !strings.Contains(string(out), "mtu 65521") {
		t.Errorf("the tap is %s, %v", out, err)
	}
	f.Close()
}

func newPodKeeper(t *testing.T, guest hypervisor.Attachment) *podKeeper {
	t.Helper()
	if os.Getenv(insideVariable) == "" {
		t.Skip("needs root, for a network namespace")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
	ip(t, `link add eth0 address 0a:58:0a:f4:01:07 type veth peer name node0
	link add tap0 type veth peer name guest0
	link set node0 up
	link set guest0 up
	link set eth0 up
	addr add 10.244.1.7/24 dev eth0
	route add default via 10.244.1.1`)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "node0").Run() })
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", "guest0").Run() })
	k := &podKeeper{before: pod(t)}
	dir := t.TempDir()
	cfg := configOf(dir)
	cfg.Switch, cfg.Watchdog = nil, endOfPair
	if guest.Kind == hypervisor.KindDgram {
		guest.Name = filepath.Join(dir, "a")
	}
	cfg.Pod = &plan.Config{Settings: plan.Settings{VM: model.Default(), HoldAfter: time.Minute}, PodInterface: "eth0", Guest: guest,
		StateDir: filepath.Join(dir, "state")}
	k.testKeeper = newTestKeeperOf(t, dir, cfg, shortTimeouts())
	return k
}

// ip runs lines of the ip command.
func ip(t *testing.T, lines string) {
	t.Helper()
	c := exec.Command("ip", "-batch", "-")
	c.Stdin = strings.NewReader(lines + "\n")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("ip: %v\n%s\n%s", err, lines, out)
	}
}

// pod returns the addresses and routes of the pod interface, as ip prints them.
func pod(t *testing.T) string {
	t.Helper()
	var state strings.Builder
	for _, command := range []string{"-4 -o addr show dev eth0", "-4 route show table all dev eth0"} {
		out, err := exec.Command("ip", strings.Fields(command)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s: %v\n%s", command, err, out)
		}
		state.Write(out)
	}
	return state.String()
}

func (p *podKeeper) wantTaken(t *testing.T) {
	t.Helper()
	if now := pod(t); strings.Contains(now, "10.244.1.7") {
		t.Errorf("the pod interface has its address:\n%s", now)
	}
}

// wantBack waits until the keeper waits for a switch, and checks that the pod is as it was.
func (p *podKeeper) wantBack(t *testing.T) {
	t.Helper()
	p.awaitWaiting()
	if now := pod(t); now != p.before {
		t.Errorf("the pod is\n%s\nand was\n%s", now, p.before)
	}
	if tables, err := exec.Command("nft", "list", "tables").CombinedOutput(); err != nil || len(tables) > 0 {
		t.Errorf("tables are left: %s, %v", tables, err)
	}
	left, err := os.ReadDir(filepath.Join(p.dir, "state"))
	if err != nil || len(left) > 1 || len(left) == 1 && left[0].Name() != "lock" {
		t.Errorf("files are left in the state directory: %v, %v", left, err)
	}
}

// TestPod checks that the address is taken when the switch is ready, and given back however it ends.
func TestPod(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	for name, end := range map[string]func(f *fake){
		"it sends Bye":                           (*fake).ends,
		"it disconnects":                         func(f *fake) { f.Close() },
		"it fails":                               func(f *fake) { f.sends(faultMessage()) },
		"it sends a message that is not allowed": func(f *fake) { f.sends(helloMessage()) },
		"it does not answer": func(f *fake) {
			f.sends(byeMessage())
			f.receives("stop", 0)
			f.receivesEnd()
		},
	} {
		f := k.connect()
		f.sends(helloMessage())
		m, _ := f.receives("grant", 1)
		if d := m.Grant.Forwarder.Delegate; d == nil || d.Pod.Address.String() != "10.244.1.7/24" {
			t.Fatalf("the grant describes %+v", d)
		}
		f.receives("opened", 1)
		if o, _ := f.receives("opened", 1); o.Opened.Device == nil {
			t.Errorf("the uplink is %+v", o.Opened)
		}
		if now := pod(t); now != k.before {
			t.Errorf("before the switch is ready, the pod is\n%s", now)
		}
		f.sends(readyMessage())
		f.receives("begin", 0)
		k.wantTaken(t)
		f.starts(k.testKeeper)
		end(f)
		k.wantBack(t)
		t.Log(name)
	}
}

// TestPodStop checks that a switch that does not answer does not delay the address when the keeper is stopped.
func TestPodStop(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	f := k.running()
	f.readsNothing(outboxSize)
	k.wantTaken(t)
	asked := time.Now()
	k.stop()
	err := within(t, "the end", k.result)
	k.result <- err
	if took := time.Unix(0, k.backAt.Load()).Sub(asked); took > soon {
		t.Errorf("given back after %s", took)
	}
	if now := pod(t); now != k.before {
		t.Errorf("the pod is\n%s\nand was\n%s", now, k.before)
	}
}

// TestPodTakeover checks that the address stays taken during a takeover, and is given back at the end.
func TestPodTakeover(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	f := k.handedOver()
	k.wantTaken(t)
	if k.back.Load() != 0 {
		t.Error("the address was given back meanwhile")
	}
	f.ends()
	k.wantBack(t)
}

// TestUplinkGone checks that the switch is stopped when the pod interface has disappeared, with that reason.
func TestUplinkGone(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	f := k.running()
	ip(t, "link del node0")
	f.sends(reopenMessage(1))
	f.stops()
	k.awaitWaiting()
	if why := strings.Join(k.ended(), "\n"); !strings.Contains(why, errUplinkGone.Error()) {
		t.Errorf("the errors are %q", why)
	}
}

// TestUplinkDown checks that the switch gets an Uplink message when the other end of the pod interface goes down or comes up, and so
// does one that takes over meanwhile.
func TestUplinkDown(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	f := k.running()
	ip(t, "link set node0 down")
	if m, _ := f.receives("uplink_state", 0); !m.UplinkState.Down {
		t.Error("the uplink is up, want down")
	}
	ip(t, "link set node0 up")
	if m, _ := f.receives("uplink_state", 0); m.UplinkState.Down {
		t.Error("the uplink is down, want up")
	}
	ip(t, "link set node0 down")
	f.receives("uplink_state", 0)
	next := k.granted(takeoverMessage())
	next.sends(readyMessage())
	f.receives("yield", 0)
	f.sends(yieldedMessage())
	next.receives("begin", 0)
	next.starts(k.testKeeper)
	next.receives("guest_state", 0)
	if m, _ := next.receives("uplink_state", 0); !m.UplinkState.Down {
		t.Error("after the takeover the uplink is up, want down")
	}
	ip(t, "link set node0 up")
	next.receives("uplink_state", 0)
	next.ends()
	k.awaitWaiting()
}

// TestGuestComesAndGoes checks that the switch gets a Guest message when the hypervisor closes or opens the guest's device, and the
// descriptor of a device that was lost as soon as it exists again.
func TestGuestComesAndGoes(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindPacket, Name: "tap0"})
	f := k.running()
	want := func(absent bool) {
		t.Helper()
		for {
			if m, _ := f.receives("guest_state", 0); m.GuestState.Absent == absent {
				return
			}
		}
	}
	want(false)
	ip(t, "link set guest0 down")
	want(true)
	ip(t, "link set guest0 up")
	want(false)
	ip(t, "link del guest0")
	want(true)
	f.sends(reopenMessage(0))
	ip(t, "link add tap0 type veth peer name guest0\nlink set guest0 up")
	for {
		m, files, err := f.Receive()
		if err != nil {
			t.Fatal(err)
		}
		if m.Opened != nil {
			if len(files) != 1 || m.Opened.Port != 0 || m.Opened.Device == nil {
				t.Errorf("%+v with %d descriptors", m.Opened, len(files))
			}
			_ = grant.CloseFiles(files)
			break
		}
	}
	f.sends(byeMessage())
	for {
		m, _, err := f.Receive()
		if err != nil || m.Stop != nil {
			break
		}
	}
	f.sends(stoppedMessage())
	f.receivesEnd("guest")
	k.wantBack(t)
}

// TestReopenRevokes checks that a packet socket that is replaced, and the one of a switch that does not answer Stop, receive nothing any
// more, although a switch has a copy of the descriptor: the latter before the kernel answers for the address again.
func TestReopenRevokes(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	var second []int
	k.inside(func() {
		take := k.loop.takeAddress
		k.loop.takeAddress = func(r *resources) (func() error, error) {
			undo, err := take(r)
			return func() error {
				wantEmpty(t, second[0])
				return undo()
			}, err
		}
	})
	f := k.connect()
	f.sends(helloMessage())
	f.receives("grant", 1)
	f.receives("opened", 1)
	_, first := f.receives("opened", 1)
	f.sends(readyMessage())
	f.receives("begin", 0)
	f.starts(k.testKeeper)
	k.receivesUplink(t, first[0])
	f.sends(reopenMessage(1))
	_, reopened := f.receives("opened", 1)
	k.inside(func() { second = reopened })
	k.receivesUplink(t, second[0])
	wantEmpty(t, first[0])
	f.sends(byeMessage())
	f.receives("stop", 0)
	f.receivesEnd()
	k.wantBack(t)
	k.sendsToUplink(t)
	wantEmpty(t, second[0])
}

// TestReopenDuringATakeover checks that a switch which asks for the uplink again when it is replaced does not take it from the next one, and gets
// it if the takeover fails.
func TestReopenDuringATakeover(t *testing.T) {
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprint(fails), func(t *testing.T) {
			k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
			admitted := func(hello grant.Message) (f *fake, uplink int) {
				f = k.connect()
				f.sends(hello)
				f.receives("grant", 1)
				f.receives("opened", 1)
				_, files := f.receives("opened", 1)
				return f, files[0]
			}
			f, first := admitted(helloMessage())
			f.sends(readyMessage())
			f.receives("begin", 0)
			f.starts(k.testKeeper)
			k.receivesUplink(t, first)
			next, _ := admitted(takeoverMessage())
			f.sends(reopenMessage(1))
			if fails {
				next.Close()
				_, opened := f.receives("opened", 1)
				k.receivesUplink(t, opened[0])
				f.sends(byeMessage())
				f.receivesEnd("stop")
				k.wantBack(t)
				return
			}
			next.sends(readyMessage())
			f.receives("yield", 0)
			f.sends(reopenMessage(1))
			f.sends(yieldedMessage())
			_, uplink := next.receives("opened", 1)
			next.receives("begin", 0)
			wantEmpty(t, first)
			f.sends(reopenMessage(1))
			next.starts(k.testKeeper)
			k.inside(func() {
				if p := k.loop.resources.uplink(); p.opener == nil || !p.isOpen() {
					t.Error("the uplink is opened again")
				}
			})
			k.receivesUplink(t, uplink[0])
			next.sends(byeMessage())
			next.receivesEnd("stop", "guest_state")
			k.wantBack(t)
		})
	}
}

// TestKilledKeeperRevokes checks that the watchdog of a killed keeper revokes the uplink of a switch that does not end, and that a watchdog
// which replaces another one has it too.
func TestKilledKeeperRevokes(t *testing.T) {
	for _, name := range []string{"the first socket", "a socket that was opened again"} {
		t.Run(name, func(t *testing.T) {
			k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
			var watchdogs []*exec.Cmd
			k.inside(func() { k.loop.cfg.Watchdog = watchdogRole(&watchdogs) })
			f := k.connect()
			f.sends(helloMessage())
			f.receives("grant", 1)
			f.receives("opened", 1)
			_, uplink := f.receives("opened", 1)
			f.sends(readyMessage())
			f.receives("begin", 0)
			f.starts(k.testKeeper)
			if name != "the first socket" {
				f.sends(reopenMessage(1))
				_, uplink = f.receives("opened", 1)
			}
			k.receivesUplink(t, uplink[0])
			var w *watchdog
			k.inside(func() { w = k.loop.watchdog })
			await(t, "another watchdog", func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return len(watchdogs) == 2
			})
			k.killsWatched()
			wantEmpty(t, uplink[0])
			k.inside(func() {
				w.dropGuarded()
				k.loop.watchdog = nil
			})
			f.Close()
			k.wantBack(t)
		})
	}
}

// killsWatched does what happens to the watchdog when the keeper is killed, and waits for its end.
func (p *podKeeper) killsWatched() {
	var w *watchdog
	p.inside(func() { w = p.loop.watchdog })
	if w == nil {
		p.t.Fatal("there is no watchdog")
	}
	w.mu.Lock()
	w.closing = true
	w.pair.Close()
	w.mu.Unlock()
	<-w.ended
}

// watchdogRole makes watchdogs of this program, the first of which ends at once.
func watchdogRole(made *[]*exec.Cmd) func(end *os.File) *exec.Cmd {
	return func(end *os.File) *exec.Cmd {
		c := exec.Command("true")
		if len(*made) > 0 {
			c = exec.Command("/proc/self/exe")
			c.Env = append(os.Environ(), roleVariable+"="+roleWatchdog)
			c.ExtraFiles, c.Stdout = []*os.File{end}, os.Stdout
		}
		*made = append(*made, c)
		return c
	}
}

// TestLockedSocket checks that a switch which keeps its socket from being revoked loses the address, and that a keeper with several of them
// serves no other one.
func TestLockedSocket(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	for round := range maxUnrevoked {
		f := k.connect()
		f.sends(helloMessage())
		f.receives("grant", 1)
		f.receives("opened", 1)
		_, uplink := f.receives("opened", 1)
		if err := unix.SetsockoptInt(uplink[0], unix.SOL_SOCKET, unix.SO_LOCK_FILTER, 1); err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			f.sends(readyMessage())
			f.receives("begin", 0)
			f.starts(k.testKeeper)
			f.sends(reopenMessage(1))
			f.receives("stop", 0)
			f.sends(stoppedMessage())
			f.receivesEnd()
		} else {
			f.Close()
		}
		k.wantBack(t)
		if n := len(k.ended()); n != round+1 {
			t.Errorf("%d switches have failed, want %d", n, round+1)
		}
	}
	f := k.connect()
	f.sends(helloMessage())
	if m, _ := f.receives("fault", 0); !strings.Contains(m.Fault.Text, "start the keeper again") {
		t.Errorf("refused with %q", m.Fault.Text)
	}
	f.receivesEnd()
}

// sendsToUplink makes the other end of the uplink send.
func (p *podKeeper) sendsToUplink(t *testing.T) {
	t.Helper()
	node, err := tap.OpenDevice(tap.Spec{Kind: tap.KindPacket, Name: "node0"}, tap.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(node.FD)
	frame := make([]byte, node.HeaderLen+60)
	copy(frame[node.HeaderLen:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 6})
	if _, err := unix.Write(node.FD, frame); err != nil {
		t.Fatal(err)
	}
}

// receivesUplink waits until the socket has received a frame of the uplink, which stays in its queue.
func (p *podKeeper) receivesUplink(t *testing.T, fd int) {
	t.Helper()
	await(t, "a frame", func() bool {
		p.sendsToUplink(t)
		_, _, err := unix.Recvfrom(fd, make([]byte, 64), unix.MSG_DONTWAIT|unix.MSG_PEEK)
		return err == nil
	})
}

// wantEmpty checks that nothing is in the queue of a socket.
func wantEmpty(t *testing.T, fd int) {
	t.Helper()
	if _, _, err := unix.Recvfrom(fd, make([]byte, 64), unix.MSG_DONTWAIT|unix.MSG_PEEK); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("a revoked socket has a frame: %v", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); !errors.Is(err, unix.EPERM) {
		t.Errorf("the filter of a revoked socket can be removed: %v", err)
	}
}

// TestReopenRate checks that a device is not opened again more often than the bound allows.
func TestReopenRate(t *testing.T) {
	o := newPort(portSpec{spec: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "none"}}, zap.NewNop()).opener
	for range reopenBurst {
		if !o.limit.Allow() {
			t.Fatal("the burst is smaller")
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), reopenRefill/2)
	defer cancel()
	began := time.Now()
	if _, err := o.reopen(ctx); err == nil || time.Since(began) > reopenRefill/4 {
		t.Errorf("reopen returns %v after %s", err, time.Since(began))
	}
}
