package keeper

import (
	"os"

	"github.com/podswitch/podswitch/pod/grant"
)

// receiveAsk answers a process that asks whether the keeper works. The question takes the way of a switch that connects: through the
// goroutine that accepts connections, the loop, and the goroutine that writes.
func (l *loop) receiveAsk(s *session) {
	a := grant.Answer{Version: l.cfg.Version, State: l.state.String(), Keeper: os.Getpid()}
	if l.current != nil {
		a.Switch = l.current.name()
	}
	_ = s.send(grant.Message{Answer: &a})
	s.close()
}
