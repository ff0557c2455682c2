package dataplane

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/plan"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/unixport"
	"github.com/podswitch/podswitch/vswitch"
)

var (
	wireMAC   = vswitch.MAC{0x0a, 0x58, 10, 244, 1, 7}
	routerMAC = vswitch.MAC{2, 0xab, 0, 0, 0, 1}
)

// delegatePlan returns the plan for a pod of a bridge plugin.
func delegatePlan(t testing.TB) *plan.Plan {
	t.Helper()
	address := netip.MustParsePrefix("10.244.1.7/24")
	offer, _, err := dhcpsrv.NewOffer(dhcpsrv.Offer{Address: address, Server: netip.MustParseAddr("169.254.75.10"), MTU: 1450, Lease: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return &plan.Plan{
		Method: "bridge.delegateIp", Address: address, Server: offer.Server, RouterMAC: routerMAC, Offer: offer, HoldAfter: time.Minute,
		KeptPorts: []plan.KeptPort{{Network: "tcp", Port: 80, Target: "127.0.0.1:80"}},
		Identity: &podnet.Identity{
			Link:      podnet.Link{Name: "eth0", Index: 2, MAC: podnet.MAC(wireMAC), MTU: 1450, Up: true, Ethernet: true, Kind: "veth"},
			Addresses: []podnet.Address{{Prefix: address}},
		},
	}
}

// A pod has the resources of a keeper: two datagram sockets for ports, whose other ends are a guest and a wire, and a control socket.
type pod struct {
	isWatched bool // the keeper watches the guest's device
	t         testing.TB
	dir       string
	plan      *plan.Plan // nil: a learning switch
	sockets   [2]unixport.Socket
	control   *net.UnixListener
	ends      [2]*net.UnixConn // guest and wire
}

func newPod(t testing.TB, p *plan.Plan) *pod {
	t.Helper()
	d := &pod{t: t, dir: t.TempDir(), plan: p}
	for i, name := range []string{"guest", "wire"} {
		socket, file, err := unixport.Bind(d.path(name+"-port"), d.path(name), -1)
		if err != nil {
			t.Fatal(err)
		}
		d.sockets[i] = socket
		t.Cleanup(func() {
			_ = file.Close()
			_ = unix.Close(socket.FD)
		})
		end, err := net.DialUnix("unixgram", &net.UnixAddr{Name: d.path(name), Net: "unixgram"}, &net.UnixAddr{Name: d.path(name + "-port"), Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		d.ends[i] = end
		t.Cleanup(func() { end.Close() })
	}
	var err error
	if d.control, err = net.ListenUnix("unix", &net.UnixAddr{Name: d.path("control"), Net: "unix"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.control.Close() })
	return d
}

func (d *pod) path(name string) string { return filepath.Join(d.dir, name) }

func (d *pod) grant() *grant.Grant {
	g := &grant.Grant{Version: grant.Version, Keeper: os.Getpid()}
	for _, name := range []string{"guest", "uplink"} {
		g.Ports = append(g.Ports, grant.Port{Name: name, Kind: hypervisor.KindDgram, Spec: "dgram:" + name, Present: true})
	}
	if d.isWatched {
		g.Ports[vswitch.PortGuest].Kind = hypervisor.KindPacket
	}
	if d.plan != nil {
		g.Forwarder = d.plan.Wire()
	} else {
		g.Forwarder.Bridge = plan.WireBridge(vswitch.BridgeConfig{Ports: 2, Upstream: -1, Ageing: time.Minute, Limit: 16, MaxFrame: 1514})
	}
	return g
}

// A fakeKeeper is the keeper's side of a session with one switch. The test decides which messages it sends.
type fakeKeeper struct {
	*grant.Conn
	*pod
	t          testing.TB
	socket     *net.UnixConn
	cancel     context.CancelFunc // of the context of Run
	result     chan error         // of Run
	sandboxed  atomic.Bool        // Config.EnterSandbox was called
	sandboxErr error              // what it returns
}

// start runs a switch. Its EnterSandbox returns sandboxErr.
func (d *pod) start(takeover bool, sandboxErr error) *fakeKeeper {
	d.t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	theirs, err := grant.FromFile(os.NewFile(uintptr(fds[0]), "the switch's end"))
	if err != nil {
		d.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fds[1]), "the keeper's end")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		d.t.Fatal(err)
	}
	k := &fakeKeeper{Conn: grant.NewConn(c.(*net.UnixConn)), pod: d, t: d.t, socket: c.(*net.UnixConn), result: make(chan error, 1), sandboxErr: sandboxErr}
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	go func() {
		k.result <- Run(ctx, Config{Conn: theirs, Version: "test", Takeover: takeover, ExitCode: func(error) int { return 7 }, Log: zap.NewNop(),
			EnterSandbox: func(Needs) (string, error) {
				k.sandboxed.Store(true)
				return "a test", k.sandboxErr
			}})
	}()
	d.t.Cleanup(func() {
		k.Close()
		cancel()
	})
	return k
}

// expectEnd waits for the end of the switch, and checks that its error contains want, or is nil if want is empty.
func (k *fakeKeeper) expectEnd(want string) {
	k.t.Helper()
	err := within(k.t, "the end of the switch", k.result)
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		k.t.Errorf("the switch ends with %v, want %q", err, want)
	}
}

// expect receives a message and checks its kind. It closes the descriptors.
func (k *fakeKeeper) expect(kind string) grant.Message {
	k.t.Helper()
	_ = k.socket.SetReadDeadline(time.Now().Add(timeout))
	m, files, err := k.Receive()
	for ; m.Learned != nil && kind != "learned"; m, files, err = k.Receive() { // a report may come at any time
		_ = grant.CloseFiles(files)
	}
	if err != nil {
		k.t.Fatalf("%v, want %q", err, kind)
	}
	_ = grant.CloseFiles(files)
	if got := m.Name(); got != kind {
		text, _ := json.Marshal(m)
		k.t.Fatalf("the message is %s, want %q", text, kind)
	}
	return m
}

// send sends a message, and ignores the error of a switch that has ended.
func (k *fakeKeeper) send(m grant.Message, files ...int) { _ = k.Send(m, files...) }

// sendGrant sends the grant with the control socket.
func (k *fakeKeeper) sendGrant() {
	k.t.Helper()
	f, err := k.control.File()
	if err != nil {
		k.t.Fatal(err)
	}
	defer f.Close()
	k.send(grant.Message{Grant: k.grant()}, int(f.Fd()))
}

// sendPorts sends both ports.
func (k *fakeKeeper) sendPorts() {
	for i, s := range k.sockets {
		k.send(grant.Message{Opened: &grant.Opened{Port: i, Socket: wireSocket(s)}}, s.FD)
	}
}

// wireSocket returns the description of a socket.
func wireSocket(s unixport.Socket) *grant.Socket {
	return &grant.Socket{Type: s.Type, Listening: s.Listening, Connected: s.Connected, Remote: s.Remote}
}

// reachReady brings the switch to the phase before Begin.
func (k *fakeKeeper) reachReady() {
	k.t.Helper()
	k.expect("hello")
	k.sendGrant()
	k.sendPorts()
	k.expect("ready")
}

// reachWork brings the switch to the work phase, from a snapshot unless it is nil.
func (k *fakeKeeper) reachWork(snapshot json.RawMessage) {
	k.t.Helper()
	k.reachReady()
	k.send(grant.Message{Begin: &grant.Begin{Snapshot: snapshot}})
	k.expect("started")
}

// yield makes the switch hand over, and returns its snapshot.
func (k *fakeKeeper) yield() json.RawMessage {
	k.t.Helper()
	k.send(grant.Message{Yield: &grant.Yield{}})
	return k.expect("yielded").Yielded.Snapshot
}

// stop stops the switch.
func (k *fakeKeeper) stop() {
	k.t.Helper()
	k.send(grant.Message{Stop: &grant.Stop{}})
	k.expect("stopped")
	k.expectEnd("")
}

// errSandbox is the error of an EnterSandbox that fails.
var errSandbox = errors.New("no landlock")
