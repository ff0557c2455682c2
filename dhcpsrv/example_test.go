package dhcpsrv_test

import (
	"fmt"
	"log"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv6"

	"github.com/podswitch/podswitch/dhcpsrv"
)

// A client discovers the server and requests the address that it was offered.
func Example() {
	offer, _, err := dhcpsrv.NewOffer(dhcpsrv.Offer{
		Address: netip.MustParsePrefix("10.244.1.7/24"),
		Server:  netip.MustParseAddr("169.254.75.10"),
		Gateway: netip.MustParseAddr("10.244.1.1"),
		MTU:     1450,
		Lease:   time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	var lease dhcpsrv.Lease // free
	exchange := func(request *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		result := dhcpsrv.Answer(offer, dhcpsrv.Query{Message: request.ToBytes(), Lease: lease, Now: time.Now()})
		lease = result.Lease
		reply, err := dhcpv4.FromBytes(result.Reply)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(result.Received, "->", result.Sent, "to", result.To, "at", result.ToMAC)
		return reply
	}

	discover, err := dhcpv4.NewDiscovery(net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 0x56})
	if err != nil {
		log.Fatal(err)
	}
	request, err := dhcpv4.NewRequestFromOffer(exchange(discover))
	if err != nil {
		log.Fatal(err)
	}
	ack := exchange(request)
	fmt.Println(ack.YourIPAddr, ack.SubnetMask(), ack.Router(), ack.IPAddressLeaseTime(0))
	fmt.Println("leased to", lease.MAC)
	// Output:
	// DISCOVER -> OFFER to 10.244.1.7:68 at 52:54:00:12:34:56
	// REQUEST -> ACK to 10.244.1.7:68 at 52:54:00:12:34:56
	// 10.244.1.7 ffffff00 [10.244.1.1] 1h0m0s
	// leased to 52:54:00:12:34:56
}

// A client asks for an IPv6 address, and gets it at once because it wants a rapid commit.
func ExampleAnswer6() {
	offer, _, err := dhcpsrv.NewOffer6(dhcpsrv.Offer6{
		Address:   netip.MustParseAddr("fd00:10:244:1::7"),
		RouterMAC: dhcpsrv.MAC{0x02, 0, 0, 0, 0, 0x01},
		Routes:    []netip.Prefix{netip.MustParsePrefix("::/0")},
		MTU:       1450,
		Lease:     24 * time.Hour,
	})
	if err != nil {
		log.Fatal(err)
	}
	solicit, err := dhcpv6.NewSolicit(net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 0x56}, dhcpv6.WithRapidCommit)
	if err != nil {
		log.Fatal(err)
	}
	result := dhcpsrv.Answer6(offer, dhcpsrv.Query6{
		Message: solicit.ToBytes(),
		MAC:     dhcpsrv.MAC{0x52, 0x54, 0, 0x12, 0x34, 0x56},
		From:    netip.MustParseAddr("fe80::5054:ff:fe12:3456"),
		To:      dhcpsrv.AllServers(),
		Now:     time.Now(),
	})
	reply, err := dhcpv6.MessageFromBytes(result.Reply)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Received, "->", result.Sent, "to", result.To, "at", result.ToMAC)
	fmt.Println(reply.Options.OneIANA().Options.OneAddress().IPv6Addr, "leased to", result.Lease.MAC)
	fmt.Println("router", offer.Router(), "sends", len(offer.RouterAdvertisement(time.Now())), "bytes")
	// Output:
	// SOLICIT -> REPLY to [fe80::5054:ff:fe12:3456]:546 at 52:54:00:12:34:56
	// fd00:10:244:1::7 leased to 52:54:00:12:34:56
	// router fe80::ff:fe00:1 sends 64 bytes
}

// A value that cannot be sent is omitted with a warning. A missing address is an error.
func ExampleNewOffer() {
	offer, warnings, err := dhcpsrv.NewOffer(dhcpsrv.Offer{
		Address:     netip.MustParsePrefix("10.244.1.7/24"),
		Server:      netip.MustParseAddr("169.254.75.10"),
		NameServers: []netip.Addr{netip.MustParseAddr("10.96.0.10"), netip.MustParseAddr("fd00::a")},
		Search:      []string{"default.svc.cluster.local", "_tcp"},
		Lease:       time.Hour,
	})
	fmt.Println(offer.NameServers, offer.Search, err)
	for _, w := range warnings {
		fmt.Println(w)
	}
	_, _, err = dhcpsrv.NewOffer(dhcpsrv.Offer{Lease: time.Hour})
	fmt.Println(err)
	// Output:
	// [10.96.0.10] [default.svc.cluster.local] <nil>
	// name server fd00::a: want a unicast IPv4 address; not offered
	// domain "_tcp": want labels of letters, digits, '_' and '-', the last one beginning with a letter; not offered
	// dhcp offer: pod address invalid Prefix: want a unicast IPv4 address with a prefix length
}
