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

// delegatePlan is one of a pod on a bridge plugin.
func delegatePlan(t testing.TB) *plan.Plan {
	t.Helper()
	address := netip.MustParsePrefix("10.244.1.7/24")
	offer, _, err := dhcpsrv.NewOffer(dhcpsrv.Offer{Address: address, Server: netip.MustParseAddr("169.254.75.10"), MTU: 1450, Lease: 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	return &plan.Plan{
		Method: "bridge.delegateIp", Address: address, Server: offer.Server, RouterMAC: routerMAC, Offer: offer, HoldAfter: time.Minute,
		KeptPorts: []plan.KeptPort{{Port: 80, Target: "127.0.0.1:80"}},
		Identity: &podnet.Identity{
			Link:      podnet.Link{Name: "eth0", Index: 2, MAC: podnet.MAC(wireMAC), MTU: 1450, Up: true, Ethernet: true, Kind: "veth"},
			Addresses: []podnet.Address{{Prefix: address}},
		},
	}
}

// A pod is what a keeper has for its switches: two datagram sockets for ports, whose other ends are a guest and a wire, and a
// control socket.
type pod struct {
	t       testing.TB
	dir     string
	plan    *plan.Plan // nil: a learning switch
	sockets [2]unixport.Socket
	control *net.UnixListener
	ends    [2]*net.UnixConn // guest and wire
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
	if d.plan != nil {
		g.Forwarder = d.plan.Wire()
	} else {
		g.Forwarder.Bridge = plan.WireBridge(vswitch.BridgeConfig{Ports: 2, Upstream: -1, Ageing: time.Minute, Limit: 16, MaxFrame: 1514})
	}
	return g
}

// A fakeKeeper speaks with one switch, and does what a test says.
type fakeKeeper struct {
	*grant.Conn
	*pod
	t      testing.TB
	socket *net.UnixConn
	cancel context.CancelFunc // asks the switch to end
	result chan error         // of the switch
	locked atomic.Bool        // the switch has given up its privileges
	lockIn error
}

// start starts a switch.
func (d *pod) start(takeover bool, lockIn error) *fakeKeeper {
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
	k := &fakeKeeper{Conn: grant.NewConn(c.(*net.UnixConn)), pod: d, t: d.t, socket: c.(*net.UnixConn), result: make(chan error, 1), lockIn: lockIn}
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	go func() {
		k.result <- Run(ctx, Config{Conn: theirs, Takeover: takeover, ExitCode: func(error) int { return 7 }, Log: zap.NewNop(),
			LockIn: func(bool) (string, error) {
				k.locked.Store(true)
				return "a test", k.lockIn
			}})
	}()
	d.t.Cleanup(func() {
		k.Close()
		cancel()
	})
	return k
}

// ends wants that the switch ends, with an error that has this text, or with none.
func (k *fakeKeeper) ends(want string) {
	k.t.Helper()
	err := within(k.t, "the end of the switch", k.result)
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		k.t.Errorf("the switch ends with %v, want %q", err, want)
	}
}

// hears wants a message of a kind next.
func (k *fakeKeeper) hears(kind string) grant.Message {
	k.t.Helper()
	_ = k.socket.SetReadDeadline(time.Now().Add(patience))
	m, files, err := k.Receive()
	if err != nil {
		k.t.Fatalf("%v, want %q", err, kind)
	}
	_ = grant.CloseFiles(files)
	if got := m.Name(); got != kind {
		text, _ := json.Marshal(m)
		k.t.Fatalf("it says %s, want %q", text, kind)
	}
	return m
}

// say says something; that the switch has ended already is no fault.
func (k *fakeKeeper) say(m grant.Message, files ...int) { _ = k.Send(m, files...) }

// grants grants the pod.
func (k *fakeKeeper) grants() {
	k.t.Helper()
	f, err := k.control.File()
	if err != nil {
		k.t.Fatal(err)
	}
	defer f.Close()
	k.say(grant.Message{Grant: k.grant()}, int(f.Fd()))
}

// opens passes the ports on.
func (k *fakeKeeper) opens() {
	for i, s := range k.sockets {
		k.say(grant.Message{Opened: &grant.Opened{Port: i, Socket: wireSocket(s)}}, s.FD)
	}
}

// wireSocket describes a socket as the keeper does.
func wireSocket(s unixport.Socket) *grant.Socket {
	return &grant.Socket{Type: s.Type, Listening: s.Listening, Connected: s.Connected, Remote: s.Remote}
}

// readies brings the switch as far as it gets without the address.
func (k *fakeKeeper) readies() {
	k.t.Helper()
	k.hears("hello")
	k.grants()
	k.opens()
	k.hears("ready")
}

// works brings the switch to work, from the begin or with what another one has learned.
func (k *fakeKeeper) works(snapshot json.RawMessage) {
	k.t.Helper()
	k.readies()
	k.say(grant.Message{Go: &grant.Go{Snapshot: snapshot}})
	k.hears("started")
}

// yields asks for what the switch has learned.
func (k *fakeKeeper) yields() json.RawMessage {
	k.t.Helper()
	k.say(grant.Message{Yield: &grant.Yield{}})
	return k.hears("yielded").Yielded.Snapshot
}

// stops ends the switch.
func (k *fakeKeeper) stops() {
	k.t.Helper()
	k.say(grant.Message{Stop: &grant.Stop{}})
	k.hears("stopped")
	k.ends("")
}

// errNotLocked is why a switch cannot give up its privileges.
var errNotLocked = errors.New("it cannot be locked in")
