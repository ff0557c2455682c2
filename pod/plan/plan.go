package plan

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A Plan is the result of Resolve. It reads back from its JSON, except for unexported fields. All fields are
// read-only.
type Plan struct {
	Rule        string           `json:"rule"`                  // the rule of the VM document that selected the method
	Method      string           `json:"method"`                // the connection method: bridge or bridge.delegateIp
	Model       model.Model      `json:"model"`                 // the network card of the guest
	Guest       string           `json:"guest"`                 // the attachment of the guest, KIND:NAME
	PinnedMAC   vswitch.MAC      `json:"guest_mac,omitzero"`    // the only MAC that the guest may use; absent: any
	RouterMAC   vswitch.MAC      `json:"router_mac,omitzero"`   // the MAC that the guest sees for every other host
	Address     netip.Prefix     `json:"address,omitzero"`      // the pod's IPv4 address with the prefix length of the interface; absent: none moves
	AddressIPv6 netip.Prefix     `json:"address_ipv6,omitzero"` // the pod's IPv6 address, likewise
	GuestMTU    int              `json:"guest_mtu"`             // of the guest's device: that of the pod interface, or the largest possible one
	Server      netip.Addr       `json:"server,omitzero"`       // of DHCP, and of DNS if RelayDNS is set; absent without Address
	RelayDNS    []netip.AddrPort `json:"relay_dns,omitempty"`   // name servers that only processes of the pod can reach
	Egress      *podnet.Egress   `json:"egress,omitempty"`      // the way out of the pod's own processes; nil: there is none
	KeptPorts   []KeptPort       `json:"keep,omitempty"`        // ports of the pod address that stay with the pod
	Found       []string         `json:"found,omitempty"`       // properties of the pod's network and their consequences
	Rules       []vswitch.Rule   `json:"rules,omitempty"`       // destinations that the guest may or may not reach; the first match decides
	Mute        bool             `json:"mute,omitempty"`        // the address stays on the interface and the kernel ignores traffic for it
	Silent      bool             `json:"silent,omitempty"`      // the switch refuses no TCP and UDP while it holds the address
	Offer       *dhcpsrv.Offer   `json:"offer,omitempty"`       // the DHCP configuration of the guest; nil with a plain bridge, and without Address
	OfferIPv6   *dhcpsrv.Offer6  `json:"offer_ipv6,omitempty"`  // what the guest is told about IPv6; nil likewise
	Identity    *podnet.Identity `json:"identity"`              // the pod interface as found
	Changes     []string         `json:"changes"`               // every change of run to the pod, in order
	Warnings    []string         `json:"warnings,omitempty"`    // properties of the pod or the document that do not apply to the guest
	HoldAfter   time.Duration    `json:"hold_after_ns"`         // from the loss of the guest until the switch answers for the address
	cfg         Config           // of Resolve or Revise
	env         *environment     // nil in a plan that was read from JSON, or of a plain bridge
}

// An environment is the pod's network apart from the pod interface, and what the guest has learned of that at the start.
type environment struct {
	tapErr  error    // why this process cannot make taps; nil: it can
	hasIPv6 bool     // the pod has a global IPv6 address; it stays its own if none moves
	tables  []string // names of nftables tables
	routing podnet.OtherRouting

	wireMAC vswitch.MAC // of the pod interface at the take, which the router MAC is derived from; zero: not known yet
	server  netip.Addr  // of DHCP and DNS
}

// learn notes, for the first plan, what later ones do not change: the guest keeps it while it is attached.
func (e *environment) learn(id *podnet.Identity) {
	if !e.server.IsValid() {
		e.wireMAC, e.server = vswitch.MAC(id.FirstMAC()), freeServer(id)
	}
}

func discoverEnvironment(id *podnet.Identity, families []podnet.Family) (*environment, error) {
	tables, err := podnet.FirewallTables(families...)
	if err != nil {
		return nil, err
	}
	routing, err := podnet.DiscoverOtherRouting(id)
	return &environment{tapErr: podnet.CanMakeTaps(), hasIPv6: podnet.HasIPv6(), tables: tables, routing: routing}, err
}

// Resolve returns the plan for cfg. It reads the network namespace of the calling thread and changes nothing.
//
// An error is a [ConflictError] for settings that exclude each other, a missing.Error for a pod that lacks something, or an error
// of podnet.
func Resolve(cfg Config) (*Plan, error) {
	id, err := podnet.Discover(cfg.PodInterface, cfg.families()...)
	if err != nil {
		return nil, err
	}
	return resolve(cfg, id, nil)
}

// ResolveTaken is like Resolve for a pod interface whose address an earlier run has taken. The identity is that of before. Settings that would not have
// taken it are a ConflictError.
func ResolveTaken(cfg Config, id *podnet.Identity) (*Plan, error) {
	if id.Link.Name != cfg.PodInterface {
		return nil, &ConflictError{fmt.Sprintf("the address was taken from %s, not from %s", id.Link.Name, cfg.PodInterface)}
	}
	for _, a := range id.Addresses {
		if f := podnet.FamilyOf(a.Prefix.Addr()); !slices.Contains(cfg.families(), f) {
			return nil, &ConflictError{fmt.Sprintf("an %v address was taken, which --families leaves with the pod", f)}
		}
	}
	return resolve(cfg, id, nil)
}

// Revise returns the plan for cfg while p is in effect. The pod interface does not have its address then, so that Revise uses the
// pod's network as p found it. The connection method cannot change.
func Revise(p *Plan, cfg Config) (*Plan, error) {
	revised, err := resolve(cfg, p.Identity, p.env)
	switch {
	case err != nil:
		return nil, err
	case revised.Method != p.Method:
		return nil, &ConflictError{fmt.Sprintf("the connection method is %s and cannot become %s while the guest stays attached", p.Method, revised.Method)}
	case revised.Egress != nil && p.Egress == nil:
		return nil, &ConflictError{"--keep with from=client needs a tap, which a takeover cannot add: restart podswitch with it"}
	}
	revised.Egress = p.Egress // its port stays
	revised.keepDevice(p)
	return revised, nil
}

// Preview is like Resolve, but takes into account that run first restores a pod interface that an earlier run has left without its
// address, and that a podswitch may be running, which has the address. It reads the state file in cfg.StateDir.
func Preview(cfg Config) (*Plan, error) {
	id, err := podnet.Pending(cfg.StateDir)
	earlier := err == nil && id != nil && id.Link.Name == cfg.PodInterface
	running := errors.Is(err, podnet.ErrTaken) && id.Link.Name == cfg.PodInterface
	if !earlier && !running {
		id, err = podnet.Discover(cfg.PodInterface, cfg.families()...)
		if running = errors.Is(err, podnet.ErrTaken); err != nil && !running {
			return nil, err
		}
	}
	id = id.Only(cfg.families()...)
	if running && !hasAddress(id) {
		return nil, fmt.Errorf("a running podswitch has taken the address of %s, and its state file is not in %s (select its directory with --state-dir): %w",
			id.Link.Name, cfg.StateDir, podnet.ErrTaken)
	}
	p, err := resolve(cfg, id, nil)
	switch {
	case err != nil:
		return nil, err
	case earlier:
		p.Changes = append([]string{fmt.Sprintf("Restore %s from the state file of an earlier run.", id.Link.Name)}, p.Changes...)
	case running:
		p.Warnings = append(p.Warnings, fmt.Sprintf("another podswitch is running and has the address of %s: run would end with exit code 3 "+
			"(stop that podswitch first, or replace its switch with run --takeover)", id.Link.Name))
	}
	return p, nil
}

// hasAddress reports whether the pod has an address of any family.
func hasAddress(id *podnet.Identity) bool {
	_, has4 := id.PodAddress(podnet.IPv4)
	_, has6 := id.PodAddress(podnet.IPv6)
	return has4 || has6
}

// resolve returns the plan for a pod interface. If env is nil and the plan needs it, resolve discovers it.
func resolve(cfg Config, id *podnet.Identity, env *environment) (*Plan, error) {
	if err := checkInterface(cfg, id); err != nil {
		return nil, err
	}
	p := &Plan{
		Rule: cfg.VM.Rule, Method: cfg.VM.Interface.Method.String(), Model: cfg.VM.Interface.Model,
		Guest: cfg.Guest.String(), PinnedMAC: cfg.resolvePinnedMAC(), GuestMTU: min(id.Link.MTU, cfg.Guest.MaxMTU()),
		Identity: id, HoldAfter: cfg.HoldAfter, cfg: cfg, env: env,
	}
	if cfg.PodMAC {
		p.PinnedMAC = vswitch.MAC(id.FirstMAC())
		if env != nil {
			p.PinnedMAC = cmp.Or(env.wireMAC, p.PinnedMAC)
		}
	}
	if cfg.VM.Interface.Method == model.DelegateIP {
		return p, p.resolveDelegate(cfg)
	}
	if err := p.checkBridge(cfg); err != nil {
		return nil, err
	}
	p.Found, p.Warnings = guestMTUFindings(id, p.GuestMTU), holdWarnings(cfg.HoldKeeper, "with a plain bridge the pod keeps its address")
	p.Changes = append(portChanges(cfg, p), fmt.Sprintf("Switch Ethernet frames between %s and %s.", p.Guest, id.Link.Name))
	return p, nil
}

// maxRoutes is the largest number of routes for which the description of the forwarder and the offer fit into a message between keeper and
// switch (maxMessage in pod/grant/conn.go): each takes less than 200 bytes in both.
const maxRoutes = 40_000

// resolveDelegate completes a plan that delegates the pod address.
func (p *Plan) resolveDelegate(cfg Config) (err error) {
	if n := len(p.Identity.Routes); n > maxRoutes {
		return &missing.Error{What: fmt.Sprintf("delegate the address of %s with %d routes", p.Identity.Link.Name, n), Need: fmt.Sprintf("at most %d routes on the interface", maxRoutes),
			Give: "reduce the routes of the pod, or omit delegateIp: a plain bridge uses none"}
	}
	if p.env == nil {
		if p.env, err = discoverEnvironment(p.Identity, cfg.families()); err != nil {
			return err
		}
	}
	p.env.learn(p.Identity)
	if err := p.resolveAddresses(); err != nil {
		return err
	}
	id := p.Identity
	if p.RouterMAC, err = chooseRouterMAC(&cfg, p.env.wireMAC, vswitch.MAC(id.Link.MAC), p.PinnedMAC); err != nil {
		return err
	}
	p.KeptPorts, p.RelayDNS = cfg.KeptPorts, relayedServers(id, p.env.hasIPv6 && !p.AddressIPv6.IsValid())
	if err := p.resolveOffers(cfg.VM); err != nil {
		return err
	}
	p.Found = append(findings(p), relayFindings(p)...)
	p.Rules = rules(cfg.DenyRules, unreachableRules(p.env.routing.Denied, allUplinkRoutes(id)), p.env.tables)
	p.Silent = cfg.Silent
	p.Mute = cfg.Mute || id.Link.Kind == kindIPVlan
	if err := p.resolveEgress(); err != nil {
		return err
	}
	p.Warnings = slices.Concat(p.Warnings, warnings(p), relayWarnings(p), keptWarnings(p))
	if p.Mute {
		p.Warnings = append(p.Warnings, holdWarnings(cfg.HoldKeeper, "the address stays on "+id.Link.Name+
			", and the pod's kernel answers for it again as soon as the keeper has ended")...)
	}
	p.Changes = slices.Concat(portChanges(cfg, p), egressChanges(p.Egress), addressChanges(id, p.Mute))
	return nil
}

// resolveEgress adds the way out of the pod's own processes, if they need it: for a name server, or for a direct port, which cannot do without.
func (p *Plan) resolveEgress() error {
	direct := slices.IndexFunc(p.KeptPorts, func(k KeptPort) bool { return k.Direct })
	switch {
	case direct >= 0 && !p.Address.IsValid():
		return &missing.Error{What: "keep " + p.KeptPorts[direct].String(), Need: "an IPv4 address of the pod: clients are shown with IPv4 alone",
			Give: "omit from=client"}
	case !p.Address.IsValid():
		return nil
	case direct >= 0 && p.env.tapErr != nil:
		return &missing.Error{What: "keep " + p.KeptPorts[direct].String(), Need: "/dev/net/tun",
			Give: "pass the device to the container that opens devices, or omit from=client", Err: p.env.tapErr}
	case direct < 0 && len(onLoopback(p.RelayDNS)) == 0 || p.env.tapErr != nil:
		return nil
	}
	p.Egress = podnet.NewEgress(p.Identity, freeAddress(p.Identity, p.Server.Next()), podnet.MAC(routerMAC(vswitch.MAC(p.Identity.Link.MAC), p.RouterMAC)), p.Mute)
	p.Found = append(p.Found, egressFinding(p.Egress))
	return nil
}

// resolveAddresses finds the addresses that move. An IPv6 address whose path is too small for IPv6 does not.
func (p *Plan) resolveAddresses() error {
	id := p.Identity
	mtu := min(id.MTU(podnet.IPv6), p.GuestMTU)
	if _, ok := id.PodAddress(podnet.IPv6); ok && mtu < minMTUIPv6 {
		p.Warnings = append(p.Warnings, fmt.Sprintf("the guest gets no IPv6: its MTU would be %d, and IPv6 needs %d (RFC 8200) (increase the MTU of the pod's network)", mtu, minMTUIPv6))
		id = id.Only(podnet.IPv4)
		p.Identity = id
	}
	p.Address, _ = id.PodAddress(podnet.IPv4)
	p.AddressIPv6, _ = id.PodAddress(podnet.IPv6)
	if !hasAddress(id) {
		return noAddress(id.Link.Name, p.cfg.Families, slices.Concat(p.Warnings, ipv6Obstacles(p), keptAddressWarnings(id)))
	}
	return nil
}

// noAddress returns the error of a pod without an address that could move. The reasons are those for which one that it has does not.
func noAddress(link string, families model.Families, reasons []string) error {
	e := &missing.Error{What: "delegate the address of " + link, Need: "a global IPv4 address on the interface, or a permanent global IPv6 address",
		Give: "let the network plugin assign one, or omit delegateIp: a plain bridge works without an address"}
	if families == model.IPv4 || families == model.IPv6 {
		e.Need = map[model.Families]string{model.IPv4: "a global IPv4", model.IPv6: "a permanent global IPv6"}[families] +
			" address on the interface, because of --families " + families.String()
		e.Give = "let the network plugin assign one, or omit --families"
	}
	if len(reasons) > 0 {
		e.Err = errors.New(strings.Join(reasons, "; "))
	}
	return e
}

// resolveOffers sets what the guest is told, of each family.
func (p *Plan) resolveOffers(vm *model.VM) error {
	var warnings []string
	var err error
	if p.Address.IsValid() {
		p.Server = p.env.server
		if p.Offer, warnings, err = dhcpsrv.NewOffer(p.offer(vm)); err != nil {
			return err
		}
		p.Warnings = append(p.Warnings, warnings...)
	}
	if p.AddressIPv6.IsValid() {
		if p.OfferIPv6, warnings, err = dhcpsrv.NewOffer6(p.offerIPv6(vm)); err != nil {
			return err
		}
		p.Warnings = append(p.Warnings, warnings...)
	}
	return nil
}
