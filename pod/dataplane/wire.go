package dataplane

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/pod/control"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/unixport"
	"github.com/podswitch/podswitch/vswitch"
)

// This file converts the wire types of package grant, which pod/plan and pod/keeper fill, to the types of the packages that do the
// work. It trusts the keeper, and checks only what could not be used.

// A podPlan is the keeper's plan for IP mode.
type podPlan struct {
	forwarder vswitch.DelegateConfig // without OnUse
	offer     *dhcpsrv.Offer         // nil: the pod has no IPv4 address
	offerIPv6 *dhcpsrv.Offer6        // nil: the pod has no IPv6 address
	keep      []grant.KeptPort
	relayDNS  []netip.AddrPort
	holdAfter time.Duration
	status    control.Status // the fields that do not change
}

// readDelegate converts the description of IP mode.
func readDelegate(d *grant.Delegate) (*podPlan, error) {
	var macs macReader
	p := &podPlan{keep: d.Keep, relayDNS: d.RelayDNS, holdAfter: time.Duration(d.HoldAfter)}
	p.forwarder = vswitch.DelegateConfig{
		WireMAC: macs.read(d.Pod.MAC), RouterMAC: macs.read(d.RouterMAC), PinnedMAC: macs.read(d.PinnedMAC),
		MTU: d.LinkMTU, NoARP: d.NoARP, Refuse: !d.Silent, Egress: d.Egress, EgressMAC: macs.read(d.EgressMAC),
	}
	if err := p.readOffers(d); err != nil {
		return nil, err
	}
	for _, k := range d.Keep {
		kept, direct := &p.forwarder.KeptTCP, &p.forwarder.DirectTCP
		if k.Network == "udp" {
			kept, direct = &p.forwarder.KeptUDP, &p.forwarder.DirectUDP
		}
		*kept = append(*kept, k.Port)
		if k.Direct {
			*direct = append(*direct, k.Port)
		}
	}
	for _, r := range d.Routes {
		p.forwarder.Routes = append(p.forwarder.Routes, vswitch.Route{Destination: r.Destination, Gateway: r.Gateway, MTU: r.MTU, AdvMSS: r.AdvMSS, Metric: r.Metric})
	}
	for _, n := range d.Neighbours {
		p.forwarder.Permanent = append(p.forwarder.Permanent, vswitch.Neighbour{Addr: n.Address, MAC: macs.read(n.MAC)})
	}
	for _, r := range d.Rules {
		p.forwarder.Rules = append(p.forwarder.Rules, vswitch.Rule{Destination: r.Destination, Protocol: r.Protocol, Port: r.Port, Allow: r.Allow})
	}
	p.status = statusOfPod(&d.Pod, &macs)
	p.status.RouterMAC = p.forwarder.RouterMAC
	if p.offerIPv6 != nil {
		p.status.IPv6.Router, p.status.IPv6.MTU = p.offerIPv6.Router().String(), p.offerIPv6.MTU
	}
	p.status.Settings = delegateSettings(d, p.forwarder.Rules, p.forwarder.PinnedMAC)
	return p, macs.err
}

// readOffers converts what the guest is told, of each family.
func (p *podPlan) readOffers(d *grant.Delegate) (err error) {
	f := &p.forwarder
	if o := d.OfferIPv6; o != nil {
		if p.offerIPv6, err = readOfferIPv6(d.Pod.AddressIPv6.Addr(), f.RouterMAC, o); err != nil {
			return err
		}
		f.AddressIPv6, f.GuestMTU = d.Pod.AddressIPv6, o.MTU
		f.Advertisement = p.offerIPv6.RouterAdvertisement(time.Now())
	}
	if o := d.Offer; o != nil {
		if p.offer, err = readOffer(d.Pod.Address, o); err != nil {
			return err
		}
		f.Address, f.Gateway, f.Server, f.GuestMTU = d.Pod.Address, o.Gateway, o.Server, o.MTU
	}
	if p.offer == nil && p.offerIPv6 == nil {
		return errors.New("the keeper's grant has no address")
	}
	return nil
}

// readBridge converts the description of a learning switch, except its pod.
func readBridge(b *grant.Bridge) (vswitch.BridgeConfig, error) {
	var macs macReader
	return vswitch.BridgeConfig{
		Ports: b.Ports, Ageing: time.Duration(b.Ageing), Limit: b.Limit, MaxFrame: b.MaxFrame, Upstream: b.Upstream,
		Pinned: macs.read(b.Pinned), PinnedPort: b.PinnedPort, GroupForward: b.GroupForward, ProbeID: b.ProbeID,
	}, macs.err
}

// maxLease is the longest lease of DHCP in seconds (RFC 2131, section 3.3). As a time.Duration it does not overflow.
const maxLease = 1<<32 - 1

// readOffer converts an offer, whose warnings the keeper has logged.
func readOffer(address netip.Prefix, o *grant.Offer) (*dhcpsrv.Offer, error) {
	given := dhcpsrv.Offer{
		Address: address, Server: o.Server, Gateway: o.Gateway, MTU: o.MTU, NameServers: o.NameServers, Domain: o.Domain,
		Search: o.Search, HostName: o.HostName, Lease: time.Duration(min(max(0, o.Lease), maxLease)) * time.Second,
		BootFileName: o.BootFileName, TFTPServerName: o.TFTPServerName, NTPServers: o.NTPServers,
		Subnet: dhcpsrv.Subnet(o.Subnet),
	}
	for _, r := range o.Routes {
		given.Routes = append(given.Routes, dhcpsrv.Route{Destination: r.Destination, Gateway: r.Gateway})
	}
	for _, f := range o.BootFiles {
		given.BootFiles = append(given.BootFiles, dhcpsrv.BootFile(f))
	}
	for _, e := range o.Extra {
		given.Extra = append(given.Extra, dhcpsrv.ExtraOption(e))
	}
	for _, p := range o.Private {
		given.Private = append(given.Private, dhcpsrv.PrivateOption{Code: p.Code, Value: p.Value})
	}
	now := time.Now()
	given.Expires, given.Deprecated = after(now, o.Valid), after(now, o.Preferred)
	made, _, err := dhcpsrv.NewOffer(given)
	if err != nil {
		return nil, fmt.Errorf("the keeper's grant: %w", err)
	}
	return made, nil
}

// readOfferIPv6 is readOffer for IPv6.
func readOfferIPv6(address netip.Addr, router vswitch.MAC, o *grant.OfferIPv6) (*dhcpsrv.Offer6, error) {
	now := time.Now()
	given := dhcpsrv.Offer6{
		Address: address, RouterMAC: dhcpsrv.MAC(router), Routes: o.Routes, MTU: o.MTU, NameServers: o.NameServers, Search: o.Search,
		Lease: time.Duration(min(max(0, o.Lease), maxLease)) * time.Second, Expires: after(now, o.Valid), Deprecated: after(now, o.Preferred),
		BootFileName: o.BootFileName, TFTPServerName: o.TFTPServerName, BootParameters: o.BootParameters, NTPServers: o.NTPServers,
	}
	for _, f := range o.BootFiles {
		given.BootFiles = append(given.BootFiles, dhcpsrv.BootFile(f))
	}
	made, _, err := dhcpsrv.NewOffer6(given)
	if err != nil {
		return nil, fmt.Errorf("the keeper's grant: %w", err)
	}
	return made, nil
}

// after returns the time a number of seconds after now, or the zero time for 0.
func after(now time.Time, seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(min(max(0, seconds), maxLease)) * time.Second)
}

// readPod converts the description of a pod in Ethernet mode to the fields of the status that do not change.
func readPod(p *grant.Pod) (control.Status, error) {
	var macs macReader
	return statusOfPod(p, &macs), macs.err
}

// statusOfPod returns the fields of the status that do not change, except the router MAC.
func statusOfPod(p *grant.Pod, macs *macReader) control.Status {
	s := control.Status{WireMAC: macs.read(p.MAC), MTU: p.MTU}
	if p.Address.IsValid() {
		s.Address = p.Address.String()
	}
	if p.Gateway.IsValid() {
		s.Gateway = p.Gateway.String()
	}
	if p.AddressIPv6.IsValid() {
		s.IPv6 = &control.FamilyStatus{Address: p.AddressIPv6.String()}
		if p.GatewayIPv6.IsValid() {
			s.IPv6.Gateway = p.GatewayIPv6.String()
		}
	}
	return s
}

// readDevice returns the device with a descriptor and a description. Its Merge is the caller's to set.
func readDevice(fd int, d *grant.Device) tap.Device {
	return tap.Device{FD: fd, Name: d.Name, Link: d.Link, Kind: d.Kind, HeaderLen: d.HeaderLen, Offload: d.Offload}
}

// readSocket returns the socket with a descriptor and a description.
func readSocket(fd int, s *grant.Socket) unixport.Socket {
	return unixport.Socket{FD: fd, Type: s.Type, Listening: s.Listening, Connected: s.Connected, Remote: s.Remote}
}

// A macReader parses MACs, and joins the errors.
type macReader struct{ err error }

// read parses a MAC. It returns the zero MAC for the empty text, and on an error.
func (r *macReader) read(text string) vswitch.MAC {
	if text == "" {
		return vswitch.MAC{}
	}
	mac, err := vswitch.ParseMAC(text)
	if err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("the keeper's grant: %w", err))
	}
	return mac
}
