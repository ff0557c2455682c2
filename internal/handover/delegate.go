package handover

import (
	"net/netip"
	"time"
)

// Delegate is the state of a forwarder in IP mode: of IPv4, and of IPv6.
type Delegate struct {
	Family         // of IPv4; the zero value: the pod has no IPv4 address
	IPv6   *Family `json:"ipv6,omitempty"` // nil: the pod has no IPv6 address
}

// Family is the state of one address family. It contains learned neighbours only: the switch that takes over configures permanent ones
// itself.
type Family struct {
	Holder     string         `json:"holder"`                    // kernel, switch or guest
	GuestMAC   MAC            `json:"guest_mac"`                 // destination of frames to the guest; the zero MAC: not known yet
	LastUse    *time.Duration `json:"last_use_age_ns,omitempty"` // since GuestMAC last used the pod address; nil: it never did
	Neighbours []Neighbour    `json:"neighbours"`                // ordered by address
	Questions  []Question     `json:"questions"`                 // ordered by address
	// NextSweep is the time until a full neighbour table may be searched for expired entries again; 0 if it may be searched now.
	NextSweep time.Duration `json:"next_sweep_ns"`
	Flows     []Flow        `json:"flows,omitempty"` // of the pod's own processes, ordered by protocol, host and ports
}

// Flow is TCP or UDP between a process of the pod and another host.
type Flow struct {
	Protocol string        `json:"protocol"` // tcp or udp
	Port     uint16        `json:"port"`     // of the pod
	Host     netip.Addr    `json:"host"`
	HostPort uint16        `json:"host_port"`
	Age      time.Duration `json:"age_ns"`           // since its last packet
	Closed   bool          `json:"closed,omitempty"` // the process has closed its TCP connection
}

// Neighbour is one learned neighbour on the wire.
type Neighbour struct {
	Address netip.Addr    `json:"address"`
	MAC     MAC           `json:"mac"`
	Age     time.Duration `json:"age_ns"` // since ARP last confirmed the MAC
	// LastProbe is the age of the last request for a new confirmation; nil if none was sent since the last confirmation.
	LastProbe *time.Duration `json:"last_probe_age_ns,omitempty"`
	Wanted    bool           `json:"wanted,omitempty"` // the switch has resolved it; false: only the neighbour itself sent ARP
}

// Question is a neighbour that is being resolved, and the frames that wait for the result.
type Question struct {
	Address netip.Addr    `json:"address"`
	Tries   int           `json:"tries"`  // requests sent so far
	Age     time.Duration `json:"age_ns"` // since the last one
	Frames  []Frame       `json:"frames,omitempty"`
}

// Frame is a frame that waits for a neighbour.
type Frame struct {
	Port    int     `json:"port"` // number of the ingress port
	Offload Offload `json:"offload,omitzero"`
	Data    []byte  `json:"data"` // from the destination MAC on
}

// Offload has the fields of a vnet.Header, in the same order.
type Offload struct {
	Flags      uint8  `json:"flags"`
	GSOType    uint8  `json:"gso_type"`
	HdrLen     uint16 `json:"hdr_len"`
	GSOSize    uint16 `json:"gso_size"`
	CsumStart  uint16 `json:"csum_start"`
	CsumOffset uint16 `json:"csum_offset"`
}
