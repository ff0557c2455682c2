package vswitch

import (
	"bytes"
	"net/netip"
	"slices"
	"time"
)

// NeighbourState is a neighbour on the wire that was learned.
type NeighbourState struct {
	Address netip.Addr    `json:"address"`
	MAC     MAC           `json:"mac"`
	Age     time.Duration `json:"age_ns"`          // since it was last confirmed, or asked for again
	Asked   bool          `json:"asked,omitempty"` // we wanted to know; the others have only made themselves known
}

// QuestionState is a neighbour that is being asked for, and the frames that wait for the answer.
type QuestionState struct {
	Address netip.Addr    `json:"address"`
	Tries   int           `json:"tries"`  // requests so far
	Age     time.Duration `json:"age_ns"` // since the last one
	Frames  []HeldState   `json:"frames,omitempty"`
}

// HeldState is a frame that waits for a neighbour.
type HeldState struct {
	Port    int          `json:"port"` // where it came in: PortGuest or PortPod
	Offload OffloadState `json:"offload,omitzero"`
	Data    []byte       `json:"data"`
}

// OffloadState is a vnet.Header.
type OffloadState struct {
	Flags      uint8  `json:"flags"`
	GSOType    uint8  `json:"gso_type"`
	HdrLen     uint16 `json:"hdr_len"`
	GSOSize    uint16 `json:"gso_size"`
	CsumStart  uint16 `json:"csum_start"`
	CsumOffset uint16 `json:"csum_offset"`
}

func (n *neighbours) state(now time.Duration) (known []NeighbourState, asked []QuestionState, full time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.table.each(func(key, value uint64, seen time.Duration) {
		if value&permanentNeighbour == 0 {
			known = append(known, NeighbourState{addrFromKey(uint32(key)), macFromKey(value), since(seen, now), value&askedNeighbour != 0})
		}
	})
	for ip, q := range n.waiting {
		s := QuestionState{Address: addrFromKey(ip), Tries: q.tries, Age: since(q.next-tickEvery, now)}
		for _, f := range q.frames {
			s.Frames = append(s.Frames, HeldState{f.port, OffloadState(f.Offload), bytes.Clone(f.Data)})
		}
		asked = append(asked, s)
	}
	slices.SortFunc(known, func(a, b NeighbourState) int { return a.Address.Compare(b.Address) })
	slices.SortFunc(asked, func(a, b QuestionState) int { return a.Address.Compare(b.Address) })
	return known, asked, n.table.full(now)
}
