package keeper

import (
	"os"

	"github.com/podswitch/podswitch/pod/grant"
)

// receiveAsk answers a process that asks whether the keeper works. The answer needs every goroutine that a switch needs when it connects: the
// one that accepts connections, the reader and the writer of the session, and the loop.
func (l *loop) receiveAsk(s *session) {
	a := grant.Answer{Version: l.cfg.Version, State: l.state.String(), Keeper: os.Getpid()}
	if l.current != nil {
		a.Switch = l.current.name()
	}
	_ = s.send(grant.Message{Answer: &a})
	s.close()
}
