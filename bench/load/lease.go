package main

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"
)

// A leaseReport has the durations of DHCP exchanges, from sending the DISCOVER to receiving the ACK. It has the first one separately, because
// a guest makes only one exchange when it starts.
type leaseReport struct {
	Rounds int     `json:"rounds"` // answered exchanges
	Lost   int     `json:"lost"`
	First  float64 `json:"first"`  // microseconds, like the following
	Median float64 `json:"median"` // includes the first one
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// A client requests a lease by a packet socket, as a guest does whose interface has no address. It sends the REQUEST as soon as it has
// received the OFFER, and it does not apply the lease.
type client struct {
	fd     int
	link   int // index
	mac    net.HardwareAddr
	buffer [2048]byte
}

func newClient(device string) (*client, error) {
	link, err := net.InterfaceByName(device)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w", device, err)
	}
	if len(link.HardwareAddr) != 6 {
		return nil, fmt.Errorf("interface %q: MAC %q: want one of 6 octets", device, link.HardwareAddr)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a packet socket: %w", err)
	}
	limit := unix.NsecToTimeval(int64(timeout))
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocolIPv4, Ifindex: link.Index}))
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind a packet socket to %q: %w", device, err)
	}
	return &client{fd: fd, link: link.Index, mac: link.HardwareAddr}, nil
}

// lease makes one exchange (RFC 2131 3.1) and returns its duration.
func (c *client) lease() (time.Duration, error) {
	discover, err := dhcpv4.NewDiscovery(c.mac)
	if err != nil {
		return 0, fmt.Errorf("make a DISCOVER: %w", err)
	}
	begin := time.Now()
	offer, err := c.ask(discover, dhcpv4.MessageTypeOffer)
	if err != nil {
		return 0, err
	}
	request, err := dhcpv4.NewRequestFromOffer(offer)
	if err != nil {
		return 0, fmt.Errorf("make a REQUEST of %s: %w", offer.Summary(), err)
	}
	_, err = c.ask(request, dhcpv4.MessageTypeAck)
	return time.Since(begin), err
}

// ask sends a message and returns the first answer to it. It ignores other packets.
func (c *client) ask(message *dhcpv4.DHCPv4, want dhcpv4.MessageType) (*dhcpv4.DHCPv4, error) {
	broadcast := unix.SockaddrLinklayer{Protocol: protocolIPv4, Ifindex: c.link, Halen: 6,
		Addr: [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}
	if err := unix.Sendto(c.fd, packet(message.ToBytes()), 0, &broadcast); err != nil {
		return nil, fmt.Errorf("send a %s: %w", message.MessageType(), err)
	}
	for deadline := time.Now().Add(timeout); time.Now().Before(deadline); {
		n, _, err := unix.Recvfrom(c.fd, c.buffer[:], 0)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nil, errLost
		case err != nil:
			return nil, fmt.Errorf("receive an answer to a %s: %w", message.MessageType(), err)
		}
		answer, found := reply(c.buffer[:n])
		if !found || answer.TransactionID != message.TransactionID {
			continue
		}
		switch answer.MessageType() {
		case want:
			return answer, nil
		case dhcpv4.MessageTypeNak:
			return nil, fmt.Errorf("%s was answered by NAK", message.MessageType())
		}
	}
	return nil, errLost
}

// leases makes exchanges one after another. It returns an error if none is answered.
func leases(once func() (time.Duration, error), rounds int) (leaseReport, error) {
	var times []time.Duration
	var lost int
	for range rounds {
		took, err := once()
		switch {
		case errors.Is(err, errLost):
			lost++
		case err != nil:
			return leaseReport{}, err
		default:
			times = append(times, took)
		}
	}
	if len(times) == 0 {
		return leaseReport{}, errLost
	}
	report := leaseReport{Rounds: len(times), Lost: lost, First: microseconds(times[0])}
	slices.Sort(times)
	report.Min, report.Max = microseconds(times[0]), microseconds(times[len(times)-1])
	report.Median = microseconds(percentile(times, 50))
	return report, nil
}
