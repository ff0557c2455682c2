package podnet

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// An ipv6Profile is the IPv6 configuration of a pod as lines of an ip batch file, with the expected identity.
type ipv6Profile struct {
	name    string
	dad     bool // duplicate address detection is on
	lines   string
	address string // expected PodAddress; empty if none
	gateway string // expected Gateway; empty if none
	mtu     int
	kept    int // addresses that stay, besides the link-local one
}

// ipv6Plugins returns the configurations that network plugins create.
func ipv6Plugins() []ipv6Profile {
	return []ipv6Profile{
		{"bridge", false, `addr add fd00:10:244:1::7/64 dev eth0
			route add default via fd00:10:244:1::1`, "fd00:10:244:1::7/64", "fd00:10:244:1::1", 1500, 0},
		{"bridge with duplicate address detection", true, `addr add fd00:10:244:1::7/64 dev eth0
			route add default via fd00:10:244:1::1`, "fd00:10:244:1::7/64", "fd00:10:244:1::1", 1500, 0},
		{"ptp", true, `addr add fd00:22::9/64 dev eth0
			route del fd00:22::/64 dev eth0
			route add fd00:22::1/128 dev eth0 src fd00:22::9
			route add fd00:22::/64 via fd00:22::1 src fd00:22::9
			route add default via fd00:22::1`, "fd00:22::9/64", "fd00:22::1", 1500, 0},
		{"calico", false, `addr add fd00:192::70/128 dev eth0
			route add default via fe80::ecee:eeff:feee:eeee dev eth0`, "fd00:192::70/128", "fe80::ecee:eeff:feee:eeee", 1500, 0},
		{"cilium", true, `addr add fd00:10::5/128 dev eth0 nodad
			route add fd00:10::100/128 dev eth0
			route add default via fd00:10::100 mtu 1450`, "fd00:10::5/128", "fd00:10::100", 1450, 0},
		{"aws", true, `addr add 2001:db8:1::5/128 dev eth0
			route add fe80::1/128 dev eth0
			route add default via fe80::1 dev eth0
			neigh add fe80::1 lladdr 02:00:00:00:00:01 nud permanent dev eth0`, "2001:db8:1::5/128", "fe80::1", 1500, 0},
		{"ovn-kubernetes", false, `addr add fd00:10:244:3::5/64 dev eth0
			route add default via fd00:10:244:3::1 mtu 1400
			route add fd00:10:96::/112 via fd00:10:244:3::1 mtu 1400`, "fd00:10:244:3::5/64", "fd00:10:244:3::1", 1400, 0},
	}
}

// ipv6Oddities returns configurations that no known plugin creates.
func ipv6Oddities() []ipv6Profile {
	return []ipv6Profile{
		{"several addresses", false, `addr add fd00:1::1/64 dev eth0 valid_lft 1000 preferred_lft 900
			addr add fd00:2::1/64 dev eth0 preferred_lft 0
			addr add fd00:4::1/64 dev eth0
			addr add fd00:3::1/64 dev eth0 metric 40
			route add default via fd00:1::9`, "fd00:3::1/64", "fd00:1::9", 1500, 3},
		{"a peer, a metric, no prefix route", false, `addr add fd00:5::1 peer fd00:5::2/128 dev eth0 metric 77 noprefixroute`, "fd00:5::1/128", "", 1500, 0},
		{"a shared prefix", false, `addr add fd00:1::1/64 dev eth0 valid_lft 1000 preferred_lft 900
			addr add fd00:1::2/64 dev eth0`, "fd00:1::2/64", "", 1500, 1},
		{"routes of many kinds", false, `addr add fd00:1::7/64 dev eth0
			route add fd00:50::/64 via fd00:1::1 hoplimit 9 mtu lock 1400 src fd00:1::7
			route add fd00:51::/64 via fd00:1::1 expires 1000 src fd00:1::7
			route add fd00:52::/64 via fd00:1::1 table 100 src fd00:1::7 pref high
			route add fd00:53::/64 nexthop via fd00:1::1 weight 2 nexthop via fd00:1::2
			route add default via fd00:1::9 metric 200
			route add default via fd00:1::1 metric 100 proto static
			neigh add proxy fd00:1::99 dev eth0`, "fd00:1::7/64", "fd00:1::1", 1500, 0},
	}
}

// newIPv6Pod returns a pod whose eth0 has IPv6 with a link-local address, and an IPv4 address.
func newIPv6Pod(t *testing.T, dad bool) *pod {
	t.Helper()
	t.Parallel()
	return newSerialIPv6Pod(t, dad)
}

// newSerialIPv6Pod is newIPv6Pod for a second namespace in one test.
func newSerialIPv6Pod(t *testing.T, dad bool) *pod {
	t.Helper()
	p := newSerialPod(t)
	p.sysctl("net/ipv6/conf/eth0/accept_dad", map[bool]string{true: "1", false: "0"}[dad])
	p.sysctl("net/ipv6/conf/eth0/disable_ipv6", "0")
	p.ip("addr add 10.244.1.7/24 dev eth0")
	return p
}

// configureIPv6 runs the lines of an ip batch file: the first one, which adds an address, and the others when the address is usable.
func (p *pod) configureIPv6(lines string) {
	p.t.Helper()
	address, rest, _ := strings.Cut(lines, "\n")
	p.ip(address)
	p.awaitIPv6()
	p.ip(rest)
	p.awaitIPv6()
}

// awaitIPv6 awaits the end of duplicate address detection, and that the kernel has routes to all addresses.
func (p *pod) awaitIPv6() {
	p.t.Helper()
	await(p.t, "no address is tentative", func() bool { return !strings.Contains(p.run("ip", "-6", "addr"), "tentative") })
	count := strings.Count(p.run("ip", "-6", "-o", "addr", "show", "dev", "eth0"), "\n")
	await(p.t, "the kernel has added the local routes", func() bool {
		return strings.Count(p.run("ip", "-6", "route", "show", "table", "local", "type", "local", "dev", "eth0"), "\n") >= count
	})
}

// ipv6Snapshot is the output of commands of ip about both families. Times that pass are left out.
func (p *pod) ipv6Snapshot() snapshot {
	p.t.Helper()
	s := snapshot{}
	for _, command := range []string{
		"-6 addr show dev eth0", "-6 route", "-6 route show table all", "-6 neigh show nud permanent", "-6 neigh show proxy", "-6 maddr show dev eth0",
		"-4 addr show dev eth0", "-4 route show table all",
	} {
		var objects []any
		out := p.run("ip", append([]string{"-j", "-d"}, strings.Fields(command)...)...)
		if err := json.Unmarshal([]byte(out), &objects); err != nil {
			p.t.Fatal(err)
		}
		forget(objects, "valid_life_time", "preferred_life_time", "expires")
		var lines []string
		for _, o := range objects {
			lines = append(lines, fmt.Sprintln(o))
		}
		if strings.Contains(command, "neigh") { // in the order of a hash table of all namespaces
			slices.Sort(lines)
		}
		s[command] = strings.Join(lines, "")
	}
	for _, setting := range []string{"accept_dad", "disable_ipv6", "forwarding", "accept_ra", "dad_transmits"} {
		s[setting] = p.readSysctl("net/ipv6/conf/eth0/" + setting)
	}
	return s
}

// forget removes the seconds of finite lifetimes, whose passing is no change.
func forget(value any, names ...string) {
	switch v := value.(type) {
	case []any:
		for _, e := range v {
			forget(e, names...)
		}
	case map[string]any:
		for name, e := range v {
			if n, ok := e.(float64); ok && slices.Contains(names, name) && n > 0 && n < 1<<31 {
				v[name] = "finite"
			} else {
				forget(e, names...)
			}
		}
	}
}

func (p *pod) discoverBoth() *Identity {
	p.t.Helper()
	id, err := Discover("eth0", IPv4, IPv6)
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

func (p *pod) takeBoth() *Taken {
	p.t.Helper()
	taken, err := Take(p.discoverBoth(), p.dir, p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = taken.GiveBack() })
	return taken
}

// awaitGroups awaits the groups of a snapshot: the kernel joins that of an address on another thread.
func (p *pod) awaitGroups(before snapshot) {
	p.t.Helper()
	const command = "-6 maddr show dev eth0"
	await(p.t, "the kernel has joined the groups", func() bool { return p.ipv6Snapshot()[command] == before[command] })
}

func (p *pod) wantIPv6As(before snapshot) {
	p.t.Helper()
	p.awaitGroups(before)
	if diff := cmp.Diff(before, p.ipv6Snapshot()); diff != "" {
		p.t.Fatalf("the pod differs (-before +after):\n%s", diff)
	}
	p.wantNothingLeft()
}

func TestGiveBackRestoresEveryIPv6Profile(t *testing.T) {
	for _, profile := range append(ipv6Plugins(), ipv6Oddities()...) {
		t.Run(profile.name, func(t *testing.T) {
			p := newIPv6Pod(t, profile.dad)
			p.configureIPv6(profile.lines)
			before := p.ipv6Snapshot()
			wantIPv6Identity(t, p.discoverBoth(), profile)

			taken := p.takeBoth()
			address, _ := taken.Identity().PodAddress(IPv6)
			if now := p.run("ip", "-6", "addr"); strings.Contains(now, " "+address.Addr().String()) {
				t.Fatalf("taken, but still on the interface:\n%s", now)
			}
			for range 2 {
				if err := taken.GiveBack(); err != nil {
					t.Fatal(err)
				}
				p.wantIPv6As(before)
			}
		})
	}
}

func wantIPv6Identity(t *testing.T, id *Identity, want ipv6Profile) {
	t.Helper()
	address, _ := id.PodAddress(IPv6)
	if got := address.String(); got != want.address {
		t.Errorf("PodAddress = %v, want %q", got, want.address)
	}
	gateway, ok := id.Gateway(IPv6)
	if got := gateway.String(); ok != (want.gateway != "") || ok && got != want.gateway {
		t.Errorf("Gateway = %v, %t, want %q", got, ok, want.gateway)
	}
	if got := id.MTU(IPv6); got != want.mtu {
		t.Errorf("MTU = %d, want %d", got, want.mtu)
	}
	if got := len(id.Kept) - 1; got != want.kept {
		t.Errorf("Kept = %v, want %d besides the link-local one", id.Kept, want.kept)
	}
	if slices.ContainsFunc(id.UplinkRoutes(IPv6), func(r Route) bool { return r.Dst.Addr().IsLinkLocalUnicast() && r.Dst.Bits() < 128 }) {
		t.Error("UplinkRoutes has fe80::/64")
	}
}

// crowdedIPv6 configures an object of each kind that is restored.
const crowdedIPv6 = `addr add fd00:22::9/64 dev eth0
	route del fd00:22::/64 dev eth0
	route add fd00:22::1/128 dev eth0 src fd00:22::9
	route add fd00:22::/64 via fd00:22::1 src fd00:22::9
	route add default via fd00:22::1 mtu 1400
	neigh add fd00:22::1 lladdr 02:00:00:00:00:01 nud permanent dev eth0`

func TestRestoreOfIPv6AfterKillAtEveryStep(t *testing.T) {
	for _, operation := range []string{"take", "giveback", "recover"} {
		t.Run(operation, func(t *testing.T) {
			p := newIPv6Pod(t, true)
			p.configureIPv6(crowdedIPv6)
			before := p.ipv6Snapshot()
			step := 1
			for killed := true; killed; step++ {
				if operation == "recover" {
					p.crash("take", 0, silenceNftables)
				}
				killed = p.crash(operation, step, silenceNftables)
				if _, err := Restore(p.dir); err != nil {
					t.Fatalf("step %d: %v", step, err)
				}
				p.wantIPv6As(before)
			}
			if least := map[string]int{"take": 6, "giveback": 10, "recover": 10}[operation]; step < least {
				t.Errorf("killed at %d steps only, want at least %d", step-2, least-2)
			}
		})
	}
}

// TestNoDetectionAtGiveBack checks that nothing asks the wire for the address, and that it is not tentative.
func TestNoDetectionAtGiveBack(t *testing.T) {
	p := newIPv6Pod(t, true)
	p.ip("addr add fd00:1::7/64 dev eth0")
	p.awaitIPv6()
	taken := p.takeBoth()
	frames := newPacketSocket(t)
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
	if now := p.run("ip", "-6", "addr", "show", "dev", "eth0"); strings.Contains(now, "tentative") || !strings.Contains(now, "fd00:1::7/64") {
		t.Errorf("after giving back:\n%s", now)
	}
	if _, sent := countFrames(t, frames); sent > 0 {
		t.Errorf("the kernel sends %d frames at giving back", sent)
	}
}

// TestTheKernelIsSilentAboutIPv6 checks both ways of silence: the pod address does not answer, another address does, and the kernel stays
// in the address's solicited-node group.
func TestTheKernelIsSilentAboutIPv6(t *testing.T) {
	for _, how := range []string{"taken", "muted"} {
		t.Run(how, func(t *testing.T) {
			p := newIPv6Pod(t, false)
			n := p.newNode("10.244.1.1/24")
			n.run("sysctl", "-qw", "net.ipv6.conf.node0.accept_dad=0", "net.ipv6.conf.node0.disable_ipv6=0")
			n.run("ip", "addr", "add", "fd00:1::1/64", "dev", "node0", "nodad")
			p.ip("addr add fd00:1::8/64 dev eth0 preferred_lft 0\naddr add fd00:1::7/64 dev eth0")
			n.awaitPing("fd00:1::7")
			var closeSilence func() error
			if how == "taken" {
				closeSilence = p.takeBoth().GiveBack
			} else {
				mute, err := Mute(p.discoverBoth())
				if err != nil {
					t.Fatal(err)
				}
				closeSilence = mute.Close
			}
			n.run("ip", "neigh", "flush", "dev", "node0")
			if n.pings("fd00:1::7") || n.pings("10.244.1.7") {
				t.Error("the pod address answers")
			}
			n.awaitPing("fd00:1::8")
			if groups := p.run("ip", "-6", "maddr", "show", "dev", "eth0"); !strings.Contains(groups, "ff02::1:ff00:7") {
				t.Errorf("the solicited-node group has been left:\n%s", groups)
			}
			n.run("ip", "neigh", "replace", "fd00:1::7", "lladdr", "0a:58:0a:f4:01:07", "dev", "node0")
			if n.pings("fd00:1::7") {
				t.Error("the pod address answers a neighbour that knows its MAC")
			}
			if err := closeSilence(); err != nil {
				t.Fatal(err)
			}
			n.awaitPing("fd00:1::7")
			n.awaitPing("10.244.1.7")
		})
	}
}

// TestAMutedIPv6AddressIsDeaf checks what a missing answer does not show: no process of the pod receives packets for the address or sends from
// it, and the kernel learns no neighbour from a solicitation for it.
func TestAMutedIPv6AddressIsDeaf(t *testing.T) {
	p := newIPv6Pod(t, false)
	n := p.newNode("10.244.1.1/24")
	n.run("sysctl", "-qw", "net.ipv6.conf.node0.accept_dad=0", "net.ipv6.conf.node0.disable_ipv6=0")
	n.run("ip", "addr", "add", "fd00:1::1/64", "dev", "node0", "nodad")
	p.ip("addr add fd00:1::8/64 dev eth0 preferred_lft 0\naddr add fd00:1::7/64 dev eth0")
	n.awaitPing("fd00:1::7")
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet6{Port: 9999}); err != nil {
		t.Fatal(err)
	}
	receives := func(address string) bool {
		t.Helper()
		n.run("bash", "-c", "echo x >/dev/udp/"+address+"/9999")
		n.awaitPing("fd00:1::8") // which is received behind it
		length, _ := unix.Read(fd, make([]byte, 16))
		return length > 0
	}
	sentFrom := func(address string) (frames int) {
		t.Helper()
		captured, source := newPacketSocketFor(t, unix.ETH_P_ALL), netip.MustParseAddr(address).As16()
		_ = exec.Command("ping", "-c1", "-W0.2", "-I", address, "fd00:1::1").Run()
		for frame := make([]byte, 1514); ; {
			length, _, err := unix.Recvfrom(captured, frame, unix.MSG_DONTWAIT)
			if err != nil {
				return frames
			}
			if length >= 54 && frame[12] == 0x86 && [16]byte(frame[22:38]) == source {
				frames++
			}
		}
	}
	mute, err := Mute(p.discoverBoth())
	if err != nil {
		t.Fatal(err)
	}
	n.run("ip", "neigh", "replace", "fd00:1::7", "lladdr", "0a:58:0a:f4:01:07", "dev", "node0")
	if receives("fd00:1::7") || !receives("fd00:1::8") {
		t.Error("a process receives what is for the muted address, or not what is for another")
	}
	if frames := sentFrom("fd00:1::7"); frames > 0 {
		t.Errorf("a process of the pod has sent %d frames from the muted address", frames)
	}
	if sentFrom("fd00:1::8") == 0 {
		t.Error("a process of the pod cannot send from another address")
	}
	n.run("ip", "addr", "add", "fd00:1::2/64", "dev", "node0", "nodad")
	for range 2 {
		_ = n.command("ip", "neigh", "del", "fd00:1::7", "dev", "node0").Run() // it may have none
		if err := n.command("ping", "-c1", "-W1", "-I", "fd00:1::2", "fd00:1::7").Run(); (err == nil) != (mute == nil) {
			t.Errorf("the ping of a neighbour ends with %v", err)
		}
		if learned := p.run("ip", "-6", "neigh", "show", "fd00:1::2") != ""; learned != (mute == nil) {
			t.Errorf("the kernel has learned a neighbour: %t", learned)
		}
		if mute == nil {
			break
		}
		if err := mute.Close(); err != nil {
			t.Fatal(err)
		}
		mute = nil
	}
	if !receives("fd00:1::7") {
		t.Error("a process does not receive what is for the address, which is not muted any more")
	}
}

func TestAddressesOfRouterAdvertisementsStay(t *testing.T) {
	permanent := uint32(unix.IFA_F_PERMANENT)
	all := []Address{
		ipv6Address("fe80::1/64", unix.RT_SCOPE_LINK, permanent, protocolLinkLocal),
		ipv6Address("fd00::1/64", 0, unix.IFA_F_MANAGETEMPADDR, protocolRouterAdvertisement),
		ipv6Address("fd00::2/64", 0, permanent|unix.IFA_F_DADFAILED, 0),
		ipv6Address("fd00::3/64", 0, unix.IFA_F_TEMPORARY, 0),
		ipv6Address("fd00::4/64", 0, permanent|unix.IFA_F_DEPRECATED, 0),
		ipv6Address("fd00::8/64", 0, permanent|unix.IFA_F_MANAGETEMPADDR, 0), // of a program that makes temporary ones from it
		ipv6Address("fd00::9/64", 0, permanent|unix.IFA_F_TEMPORARY, 0),
		ipv6Address("fd00::a/64", 0, permanent, protocolRouterAdvertisement),
		ipv6Address("fd00::b/64", 0, 0, 0), // with a lifetime
		ipv6Address("fec0::1/64", unix.RT_SCOPE_SITE, permanent, 0),
		ipv6Address("fd00::5/64", 0, permanent|unix.IFA_F_TENTATIVE, 0),
		ipv6Address("fd00::6/64", 0, permanent, 0),
		ipv6Address("fe80::2/64", 0, permanent, 0),
	}
	taken, kept := divideIPv6(all)
	if len(taken) != 1 || taken[0].String() != "fd00::5/64" || len(kept) != len(all)-1 {
		t.Errorf("taken %v, kept %v", taken, kept)
	}
}

func ipv6Address(prefix string, scope uint8, flags uint32, protocol uint8) Address {
	var a Address
	if err := json.Unmarshal(fmt.Appendf(nil, `{"prefix": %q}`, prefix), &a); err != nil {
		panic(err)
	}
	a.Scope, a.Flags, a.Protocol, a.Valid, a.Preferred = scope, flags, protocol, Forever, Forever
	return a
}

// TestTakeWaitsForDetection checks that an address that is still tentative is taken when it is not any more, and a duplicate never.
func TestTakeWaitsForDetection(t *testing.T) {
	p := newIPv6Pod(t, true)
	p.ip("addr add fd00:1::7/64 dev eth0")
	start := time.Now()
	taken := p.takeBoth()
	t.Logf("taken after %v", time.Since(start))
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
	p.wantNoTentative()

	n := p.newNode("10.244.1.1/24")
	n.run("sysctl", "-qw", "net.ipv6.conf.node0.disable_ipv6=0")
	n.run("ip", "addr", "add", "fd00:1::8/64", "dev", "node0", "nodad")
	p.ip("link set eth0 up\naddr del fd00:1::7/64 dev eth0\naddr add fd00:1::8/64 dev eth0")
	_, err := Take(p.discoverBoth(), p.dir, p.log)
	wantError(t, err, nil, "fd00:1::8/64", "dadfailed")
	if names := p.files(); len(names) > 0 {
		t.Errorf("left in the state directory: %v", names)
	}
}

func (p *pod) wantNoTentative() {
	p.t.Helper()
	if now := p.run("ip", "-6", "addr", "show", "dev", "eth0", "scope", "global"); strings.Contains(now, "tentative") {
		p.t.Errorf("a tentative address:\n%s", now)
	}
}

// TestStateFileOfVersion1 checks that the state file of an earlier release is restored.
func TestStateFileOfVersion1(t *testing.T) {
	p, before := newCrowdedPod(t)
	p.takeAndDie()
	text, err := os.ReadFile(statePath(p.dir))
	if err != nil {
		t.Fatal(err)
	}
	old := strings.Replace(string(text), `"version": 2`, `"version": 1`, 1)
	if old == string(text) {
		t.Fatal("the state file has another version")
	}
	if err := os.WriteFile(statePath(p.dir), []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(p.dir); err != nil {
		t.Fatal(err)
	}
	p.wantAs(before)
}

// TestLifetimesOfIPv6 checks that lifetimes which are given back are shorter by the time for which the address was taken: that of the
// address, and that of a route with it as source. An address that is not preferred any more is deprecated.
func TestLifetimesOfIPv6(t *testing.T) {
	for _, c := range []struct {
		passed             time.Duration
		preferred, expires uint32 // at most; at least five less
	}{{300 * time.Second, 700, 700}, {2000 * time.Second, 0, 1}} {
		p := newSerialIPv6Pod(t, true)
		p.configureIPv6(`addr add fd00:1::7/64 dev eth0 preferred_lft 1000
			route add fd00:51::/64 via fd00:1::1 expires 1000 src fd00:1::7`)
		p.takeAndDie()
		p.changeState(func(r *record) { r.Uptime -= c.passed })
		if _, err := Restore(p.dir); err != nil {
			t.Fatal(err)
		}
		conn, err := openRtnetlink()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.close()
		link, err := conn.existingLink("eth0")
		if err != nil {
			t.Fatal(err)
		}
		addresses, err := conn.addresses(IPv6, link.Index)
		if err != nil || len(addresses) != 2 || addresses[0].Prefix.Addr().String() != "fd00:1::7" {
			t.Fatalf("%v, %v", addresses, err)
		}
		inTime := func(what string, got, most uint32) {
			t.Helper()
			if got > most || got+5 < most {
				t.Errorf("after %v: %s for %d s, want %d", c.passed, what, got, most)
			}
		}
		inTime("the address is preferred", addresses[0].Preferred, c.preferred)
		if addresses[0].Valid != Forever || addresses[0].Flags&(unix.IFA_F_NODAD|unix.IFA_F_TENTATIVE) != 0 {
			t.Errorf("after %v: the address is valid for %d s, with flags %x", c.passed, addresses[0].Valid, addresses[0].Flags)
		}
		routes, err := conn.routes(IPv6, link.Index, addresses)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, r := range routes {
			if r.Dst.String() == "fd00:51::/64" {
				found = true
				inTime("the route exists", r.Expires, c.expires)
			}
		}
		if !found {
			t.Errorf("after %v: no route to fd00:51::/64: %v", c.passed, routes)
		}
	}
}

// TestAdoptOfIPv6 checks that another process goes on with the address of a killed one.
func TestAdoptOfIPv6(t *testing.T) {
	p := newIPv6Pod(t, false)
	p.configureIPv6(crowdedIPv6)
	before := p.ipv6Snapshot()
	p.takeAndDie()
	taken, err := Adopt(p.dir, p.log)
	if err != nil || taken == nil {
		t.Fatalf("Adopt = %v, %v", taken, err)
	}
	if groups := p.run("ip", "-6", "maddr", "show", "dev", "eth0"); !strings.Contains(groups, "ff02::1:ff00:9") {
		t.Errorf("the solicited-node group has been left:\n%s", groups)
	}
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
	p.wantIPv6As(before)
}

// TestFollowIPv6 checks that what other programs change of IPv6 while the address is taken is the same after giving back as without podswitch,
// and that an address which is added again is removed.
func TestFollowIPv6(t *testing.T) {
	for name, lines := range map[string]string{
		"a lower MTU of a route": "route replace default via fd00:22::1 mtu 1300",
		"a new route":            "route add fd00:99::/64 via fd00:22::1 mtu 1280",
		"a removed route":        "route del ::/0",
		"a new neighbour":        "neigh add fd00:22::2 lladdr 02:00:00:00:00:02 nud permanent dev eth0",
	} {
		t.Run(name, func(t *testing.T) {
			plain := newIPv6Pod(t, false)
			plain.configureIPv6(crowdedIPv6)
			plain.ip(lines)
			want := plain.ipv6Snapshot()

			p := newSerialIPv6Pod(t, false)
			p.configureIPv6(crowdedIPv6)
			taken := p.takeBoth()
			p.ip(lines)
			id, retaken, err := taken.Follow()
			if err != nil || len(retaken) > 0 {
				t.Fatalf("%v, %v", retaken, err)
			}
			if again, _, err := taken.Follow(); err != nil || again != id {
				t.Errorf("without a change, the identity is another one: %v", err)
			}
			if err := taken.GiveBack(); err != nil {
				t.Fatal(err)
			}
			p.awaitGroups(want)
			if diff := cmp.Diff(want, p.ipv6Snapshot()); diff != "" {
				t.Errorf("the pod differs (-without podswitch +with):\n%s", diff)
			}
		})
	}
	t.Run("the address again", func(t *testing.T) {
		p := newIPv6Pod(t, false)
		p.configureIPv6(crowdedIPv6)
		before := p.ipv6Snapshot()
		taken := p.takeBoth()
		p.ip("addr add fd00:22::9/64 dev eth0")
		if _, retaken, err := taken.Follow(); err != nil || len(retaken) != 1 || retaken[0].String() != "fd00:22::9/64" {
			t.Fatalf("%v, %v", retaken, err)
		}
		if now := p.run("ip", "-6", "addr"); strings.Contains(now, "fd00:22::9") {
			t.Errorf("still on the interface:\n%s", now)
		}
		if err := taken.GiveBack(); err != nil {
			t.Fatal(err)
		}
		p.wantIPv6As(before)
	})
}

// TestAnIPv6AddressIsRemovedAtOnce checks that an address which another program adds again is removed without waiting for its duplicate
// address detection, and that the solicited-node group stays.
func TestAnIPv6AddressIsRemovedAtOnce(t *testing.T) {
	p := newIPv6Pod(t, true)
	p.configureIPv6(crowdedIPv6)
	before := p.ipv6Snapshot()
	taken := p.takeBoth()
	p.sysctl("net/ipv6/neigh/eth0/retrans_time_ms", "60000") // the time of the detection
	for range 2 {
		p.ip("addr add fd00:22::9/64 dev eth0")
		began := time.Now()
		if _, retaken, err := taken.Follow(); err != nil || len(retaken) != 1 {
			t.Fatalf("%v, %v", retaken, err)
		}
		if took := time.Since(began); took > localLimit/2 {
			t.Errorf("it took %s", took)
		}
	}
	if groups := p.run("ip", "-6", "maddr", "show", "dev", "eth0"); !strings.Contains(groups, "ff02::1:ff00:9") {
		t.Errorf("the solicited-node group has been left:\n%s", groups)
	}
	p.sysctl("net/ipv6/neigh/eth0/retrans_time_ms", "1000")
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
	p.wantIPv6As(before)
}

// TestManyIPv6Routes checks that the time to follow changes is proportional to the number of routes. The shortest of several tries does not
// depend on other processes.
func TestManyIPv6Routes(t *testing.T) {
	follow := func(n int) (shortest time.Duration) {
		var routes []Route
		for i := range n {
			prefix := netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 1, byte(i >> 8), byte(i)}), 64)
			routes = append(routes, Route{Dst: prefix, Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST, Link: 2})
		}
		for range 10 {
			began := time.Now()
			if got := withSource(routes, routes, netip.IPv6Loopback(), nil); len(got) != n {
				t.Errorf("%d routes of %d", len(got), n)
			}
			if took := time.Since(began); shortest == 0 || took < shortest {
				shortest = took
			}
		}
		return shortest
	}
	few, many := follow(500), follow(8000)
	if many > 100*few {
		t.Errorf("500 routes take %s, 8000 routes %s", few, many)
	}
}

// TestAdvertisedRoutesAreBounded checks that routes which hosts on the link can make with router advertisements are followed up to a bound,
// before and after the take, the default route among them, and that the kernel keeps them all.
func TestAdvertisedRoutesAreBounded(t *testing.T) {
	p := newIPv6Pod(t, false)
	p.configureIPv6("addr add fd00:22::9/64 dev eth0\nroute add fd00:98::/64 via fd00:22::1\nroute add default via fe80::1 dev eth0 proto ra")
	advertise := func(from, to int) {
		var lines strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&lines, "route add 2001:db8:%x::/64 dev eth0 proto kernel metric 256\n", i)
		}
		p.ip(lines.String())
	}
	check := func(id *Identity, isMore bool) {
		t.Helper()
		prefixes := 0
		for _, r := range id.Routes {
			if strings.HasPrefix(r.Dst.String(), "2001:db8:") {
				prefixes++
			}
		}
		if isMore && prefixes != MaxAdvertised-1 || id.MoreAdvertised != isMore {
			t.Errorf("%d prefixes, more: %v", prefixes, id.MoreAdvertised)
		}
		for _, want := range []string{"::/0", "fd00:22::/64", "fd00:98::/64"} {
			if !slices.ContainsFunc(id.Routes, func(r Route) bool { return r.Dst.String() == want }) {
				t.Errorf("no route to %s", want)
			}
		}
	}
	advertise(0, 20)
	check(p.discoverBoth(), false)
	advertise(20, 100)
	check(p.discoverBoth(), true)
	before := p.ipv6Snapshot()
	taken := p.takeBoth()
	advertise(100, 300)
	id, _, err := taken.Follow()
	if err != nil {
		t.Fatal(err)
	}
	check(id, true)
	var lines strings.Builder
	for i := 100; i < 300; i++ {
		fmt.Fprintf(&lines, "route del 2001:db8:%x::/64 dev eth0 proto kernel\n", i)
	}
	p.ip(lines.String())
	if err := taken.GiveBack(); err != nil {
		t.Fatal(err)
	}
	p.wantIPv6As(before)
}
