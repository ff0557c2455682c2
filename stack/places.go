package stack

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// Places for connections. A port has a fixed number, and a client, which is a source address, gets at most a share of them, so that one
// client cannot shut out the others.

// fairShare is the most places that a client may occupy for each place that is free. With 256 places, one client gets 192, each of two
// clients 110, and a further client finds a place however many places the others hold.
const fairShare = 3

// places are the places of one port for connections. A connection occupies its place until netstack needs its buffers no longer.
type places struct {
	limit    int
	isShared bool // whether fairShare applies

	mu       sync.Mutex
	taken    int
	byClient map[tcpip.Address]int
}

// hasRoom reports whether a connection of a client would get a place now.
func (p *places) hasRoom(client tcpip.Address) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hasRoomLocked(client)
}

func (p *places) hasRoomLocked(client tcpip.Address) bool {
	free := p.limit - p.taken
	return free > 0 && (!p.isShared || p.byClient[client] < fairShare*free)
}

// take occupies a place, and returns the number of occupied places; 0 if the client gets none.
func (p *places) take(client tcpip.Address) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.hasRoomLocked(client) {
		return 0
	}
	if p.byClient == nil {
		p.byClient = make(map[tcpip.Address]int)
	}
	p.byClient[client]++
	p.taken++
	return p.taken
}

// leave frees a place that take has returned.
func (p *places) leave(client tcpip.Address) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken--
	if p.byClient[client]--; p.byClient[client] == 0 {
		delete(p.byClient, client)
	}
}
