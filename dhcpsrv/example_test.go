package dhcpsrv_test

import (
	"fmt"
	"log"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

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
