package keeper

import (
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/host/missing"
	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/pod/plan"
)

// receiveHello admits a switch, and sends it everything that it needs to build its ports. A switch that is one too many stands by.
func (l *loop) receiveHello(s *session, h *grant.Hello) {
	if l.standsBy(s, h) {
		l.standBy(s)
		return
	}
	if err := l.admit(s, h); err != nil {
		l.reject(s, err)
		return
	}
	l.enter(s, phaseBuilding)
	l.renewShutDown()
	p := l.resources.plan
	if s == l.next && l.nextPlan != nil {
		p = l.nextPlan
	}
	if err := l.sendGrant(s, p); err != nil {
		l.reject(s, err)
		return
	}
	l.sendPorts(s)
}

// renewShutDown replaces the sockets that a switch has shut down since the keeper has looked last: one that has ended may go on for some time.
func (l *loop) renewShutDown() {
	for _, p := range l.resources.ports {
		if p.handle != nil && p.handle.isShutDown() {
			p.bindAgain()
		}
	}
}

// maxUnrevoked bounds the sockets that switches keep, each with frames of the pod in its queue.
const maxUnrevoked = 8

// admit checks that a switch may begin, or take over. For the first one, unless the address is held, it opens the resources.
func (l *loop) admit(s *session, h *grant.Hello) (err error) {
	switch {
	case s.notSwitch != nil:
		l.log.Warn("connection refused", zap.Error(s.notSwitch))
		return s.notSwitch
	case h.Version != grant.Version:
		return errOtherVersion(h)
	case h.Takeover:
		return l.admitNext(s, h)
	case s == l.current: // the keeper's own child
		return nil
	case l.current != nil && l.spawn == nil: // and enough others stand by
		return &laterError{l.errOtherSwitch()}
	case l.current != nil:
		return l.errOtherSwitch()
	case l.state == holding:
		l.current = s
		l.handle(admitted, nil)
		return nil
	}
	if l.tooManyUnrevoked() {
		return &missing.Error{What: "start the switch", Need: "a keeper whose switches have let it revoke their sockets", Give: "start the keeper again"}
	}
	if l.resources, err = openResources(&l.cfg, l.control, false); err != nil {
		l.log.Error("cannot serve a switch", zap.Error(err))
		return err
	}
	l.current = s
	l.handle(admitted, nil)
	return nil
}

// errOtherVersion refuses a switch of another version. Only one that does not take over waits for the next keeper.
func errOtherVersion(h *grant.Hello) error {
	err := &missing.Error{What: "connect to this keeper", Need: fmt.Sprintf("version %d of its protocol, not %d", grant.Version, h.Version),
		Give: "use the same podswitch on both sides"}
	if h.Takeover {
		return err
	}
	return &laterError{err}
}

func (l *loop) errOtherSwitch() error {
	return &missing.Error{What: "start the switch", Need: fmt.Sprintf("a keeper without another switch, and this one serves %s", l.current.name()),
		Give: "end that switch, or use --takeover"}
}

// errNoControl refuses a switch after renewControl has failed. The log has the reason.
var errNoControl = errors.New("the keeper could not open its control socket again")

// sendGrant sends the descriptor of the control socket, on which another switch may be listening. File would make it blocking for
// both, because that flag belongs to the open file description, which the two share.
func (l *loop) sendGrant(s *session, p *plan.Plan) error {
	if len(l.resources.refused) == 0 { // otherwise it is told of those when it has started
		s.revision = l.resources.revision
	}
	if l.resources.control == nil {
		return errNoControl
	}
	_, err := descriptor.Borrow(l.resources.control, func(fd int) (struct{}, error) {
		return struct{}{}, s.send(l.resources.grant(p, os.Getpid()), fd)
	})
	return err
}

// sendPorts sends the descriptor of each port that is open.
func (l *loop) sendPorts(s *session) {
	for i, p := range l.resources.ports {
		if p.isOpen() && s.send(l.resources.openedMessage(i), p.handle.fd()) != nil {
			return
		}
	}
}
