package plan

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/model"
	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
	"github.com/podswitch/podswitch/vswitch"
)

// leaseTime is how long a lease runs. The pod keeps its address as long as it lives; the end of a lease only shows that
// the guest has gone.
const leaseTime = 24 * time.Hour

// serverAddress is the DHCP server's, as guests know it from KubeVirt's bridge binding. The last byte moves on if the pod
// already uses it.
var serverAddress = netip.AddrFrom4([4]byte{169, 254, 75, 10})

// A Plan is what a run would do, and why.
type Plan struct {
	Rule      string           `json:"rule"`   // which rule of the VM document applied
	Method    string           `json:"method"` // bridge or bridge.delegateIp
	Model     model.Model      `json:"model"`
	Guest     string           `json:"guest"`               // KIND:NAME
	GuestMAC  vswitch.MAC      `json:"guest_mac,omitzero"`  // the only one allowed; absent: any
	RouterMAC vswitch.MAC      `json:"router_mac,omitzero"` // what the guest sees for everything that is not itself
	Address   netip.Prefix     `json:"address,omitzero"`    // the pod address with the plugin's prefix length
	Server    netip.Addr       `json:"server,omitzero"`     // of DHCP, and of DNS if the pod's name server is on its loopback
	RelayDNS  []netip.AddrPort `json:"relay_dns,omitempty"` // name servers that only the pod can reach
	KeptPorts []KeptPort       `json:"keep,omitempty"`      // TCP ports that stay with the pod
	Found     []string         `json:"found,omitempty"`     // what the pod's network is like, and what follows
	Rules     []vswitch.Rule   `json:"rules,omitempty"`     // what the guest may not reach
	Mute      bool             `json:"mute,omitempty"`      // the address stays on the interface, and the kernel is kept silent
	Offer     *dhcpsrv.Offer   `json:"offer,omitempty"`     // what the guest will be told
	Identity  *podnet.Identity `json:"identity"`            // what the pod interface says
	Changes   []string         `json:"changes"`             // every change that a run would make, in order
	Warnings  []string         `json:"warnings,omitempty"`  // what cannot be told to the guest, and why
	HoldAfter time.Duration    `json:"hold_after_ns"`       // how long the guest may be away before the switch answers for it
	around    *surroundings    // what was found beside the pod interface; only where the plan was resolved
}

// Surroundings are what of the pod's network is not the pod interface.
type surroundings struct {
	tables    []string // names of firewall tables
	elsewhere podnet.OtherRouting
}

func lookAround(id *podnet.Identity) (*surroundings, error) {
	tables, err := podnet.FirewallTables()
	if err != nil {
		return nil, err
	}
	elsewhere, err := podnet.DiscoverOtherRouting(id)
	return &surroundings{tables, elsewhere}, err
}

// Resolve finds out what a run would do. It changes nothing.
func Resolve(cfg Config) (*Plan, error) {
	id, err := podnet.Discover(cfg.PodInterface)
	if err != nil {
		return nil, err
	}
	return resolve(cfg, id, nil)
}

// Change is what Resolve would have found with other settings, while p is at work. What the pod's network was like, it takes
// from p.
func Revise(p *Plan, cfg Config) (*Plan, error) {
	changed, err := resolve(cfg, p.Identity, p.around)
	if err == nil && changed.Method != p.Method {
		return nil, &ConflictError{fmt.Sprintf("the connection method is %s and cannot become %s while the guest stays attached", p.Method, changed.Method)}
	}
	return changed, err
}

// Preview is Resolve for a pod interface that an earlier run may have left without its address: a run would first put back what
// the state file says.
func Preview(cfg Config) (*Plan, error) {
	pending, err := podnet.Pending(cfg.StateDir)
	if err != nil || pending == nil || pending.Link.Name != cfg.PodInterface {
		return Resolve(cfg)
	}
	p, err := resolve(cfg, pending, nil)
	if err == nil {
		p.Changes = append([]string{fmt.Sprintf("Put %s back as an earlier run found it.", pending.Link.Name)}, p.Changes...)
	}
	return p, err
}

func resolve(cfg Config, id *podnet.Identity, around *surroundings) (*Plan, error) {
	if cfg.Guest.Name == id.Link.Name {
		return nil, &ConflictError{fmt.Sprintf("--guest %s is the pod interface itself", cfg.Guest)}
	}
	p := &Plan{
		Rule: cfg.VM.Rule, Method: cfg.VM.Interface.Method.String(), Model: cfg.VM.Interface.Model,
		Guest: cfg.Guest.String(), GuestMAC: cfg.pinnedMAC(), Identity: id, HoldAfter: cfg.HoldAfter, around: around,
	}
	if !id.Link.Ethernet {
		return nil, &missing.Error{What: "attach to " + id.Link.Name, Need: "an Ethernet interface", Give: "name another one with --pod-interface"}
	}
	if cfg.PodMAC && id.Link.MAC == (podnet.MAC{}) {
		return nil, &missing.Error{What: "give the guest the pod's MAC", Need: "an interface that has one", Give: "leave out --guest-mac pod"}
	}
	if cfg.PodMAC {
		p.GuestMAC = vswitch.MAC(id.Link.MAC)
	}
	if cfg.VM.Interface.Method == model.Bridge && p.GuestMAC == vswitch.MAC(id.Link.MAC) {
		return nil, &ConflictError{"the guest cannot have the pod's MAC with a plain bridge: the pod keeps it"}
	}
	if cfg.VM.Interface.Method == model.Bridge {
		if len(cfg.KeptPorts) > 0 || len(cfg.DenyRules) > 0 || cfg.Mute {
			return nil, &ConflictError{"--keep, --deny and --address need delegateIp: with a plain bridge the pod keeps its address"}
		}
		p.Changes = append(guestChanges(cfg, id), fmt.Sprintf("Switch Ethernet frames between %s and %s.", p.Guest, id.Link.Name))
		return p, nil
	}
	return p, p.resolveDelegate(cfg)
}

// resolveDelegate fills in what IP mode adds.
func (p *Plan) resolveDelegate(cfg Config) error {
	id := p.Identity
	var ok bool
	if p.Address, ok = id.PodAddress(); !ok {
		return &missing.Error{What: "delegate the address of " + id.Link.Name, Need: "a global IPv4 address on the interface",
			Give: "let the network plugin assign one, or leave out delegateIp: a plain bridge works without an address"}
	}
	p.RouterMAC = routerMAC(vswitch.MAC(id.Link.MAC), p.GuestMAC)
	server := freeServer(id)
	p.Server = server
	p.KeptPorts = cfg.KeptPorts
	for _, ns := range id.Resolv.NameServers {
		if dhcpsrv.NeedsRelay(ns) {
			p.RelayDNS = append(p.RelayDNS, netip.AddrPortFrom(ns, 53))
		}
	}
	offer, warnings, err := dhcpsrv.NewOffer(p.offer(server, cfg.VM))
	if err != nil {
		return err
	}
	p.Offer, p.Warnings = offer, warnings
	if p.around == nil {
		if p.around, err = lookAround(id); err != nil {
			return err
		}
	}
	tables, elsewhere := p.around.tables, p.around.elsewhere
	p.Found, p.Rules = found(id, p.Address, tables), rules(cfg.DenyRules, nowhere(elsewhere.Denied, id.UplinkRoutes()), tables)
	p.Warnings = append(p.Warnings, doubts(id, p.Address, tables, elsewhere)...)
	p.Changes = append(guestChanges(cfg, id), id.Changes()...)
	if p.Mute = cfg.Mute || id.Link.Kind == kindIPVlan; p.Mute {
		p.Changes = append(guestChanges(cfg, id), id.MuteChanges()...)
	}
	return nil
}

// A ConflictError says which settings exclude each other.
type ConflictError struct{ text string }

func (e *ConflictError) Error() string { return e.text }

// offer is what the pod identity and the VM document say to the guest.
func (p *Plan) offer(server netip.Addr, vm *model.VM) dhcpsrv.Offer {
	id := p.Identity
	o := dhcpsrv.Offer{
		Address: p.Address, Server: server, MTU: id.MTU(), NameServers: slices.Clone(id.Resolv.NameServers),
		Search: id.Resolv.Search, HostName: id.HostName, Lease: leaseTime,
	}
	o.Gateway, _ = id.Gateway()
	for _, r := range guestRoutes(p.Identity) {
		o.Routes = append(o.Routes, dhcpsrv.Route{Destination: r.Dst, Gateway: r.GatewayOn(id.Link.Index)})
	}
	if vm.Hostname != "" {
		o.HostName = vm.Hostname
	}
	options := vm.Interface.DHCP
	o.BootFileName, o.TFTPServerName, o.NTPServers = options.BootFileName, options.TFTPServerName, options.NTPServers
	for _, private := range options.PrivateOptions {
		o.Private = append(o.Private, dhcpsrv.PrivateOption(private))
	}
	for _, s := range o.Search { // the longest one, as KubeVirt's guests are used to
		if len(s) > len(o.Domain) {
			o.Domain = s
		}
	}
	return o
}

// routerMAC makes the router MAC of a wire MAC: locally administered, the same each time, and nobody else's.
func routerMAC(wire, guest vswitch.MAC) vswitch.MAC {
	for salt := byte(0); ; salt++ {
		sum := sha256.Sum256(append([]byte{salt}, wire[:]...))
		mac := vswitch.MAC(sum[:6])
		mac[0] = 0x02
		if mac != wire && mac != guest {
			return mac
		}
	}
}

// freeServer is the server's address: one that the pod does not use for anything.
func freeServer(id *podnet.Identity) netip.Addr {
	used := map[netip.Addr]bool{}
	for _, a := range id.Addresses {
		used[a.Prefix.Addr()] = true
	}
	for _, r := range id.Routes {
		used[r.GatewayOn(id.Link.Index)] = true
		used[r.Dst.Addr()] = used[r.Dst.Addr()] || r.Dst.IsSingleIP()
	}
	for _, ns := range id.Resolv.NameServers {
		used[ns] = true
	}
	server := serverAddress
	for used[server] {
		server = server.Next()
	}
	return server
}

// guestChanges are the changes that opening the ports makes.
func guestChanges(cfg Config, id *podnet.Identity) []string {
	return []string{guestChange(cfg, id), fmt.Sprintf("Open a packet socket on %s, promiscuously.", id.Link.Name)}
}

func guestChange(cfg Config, id *podnet.Identity) string {
	switch cfg.Guest.Kind {
	case hypervisor.KindStream, hypervisor.KindDgram:
		return fmt.Sprintf("Make the unix socket of %s.", cfg.Guest)
	case hypervisor.KindFD:
		return fmt.Sprintf("Take over the descriptor %s.", cfg.Guest.Name)
	case hypervisor.KindPacket:
		return fmt.Sprintf("Open a packet socket on %s, promiscuously, bring it up, and keep the pod's kernel silent on it with nftables tables.", cfg.Guest.Name)
	}
	return fmt.Sprintf("Open the tap %s (it is made if it is not there) with MTU %d.", cfg.Guest.Name, id.Link.MTU)
}
