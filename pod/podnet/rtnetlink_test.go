package podnet

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func TestInterruptedDumpsAreRepeated(t *testing.T) {
	tries := 0
	got, err := retryDump(func() ([][]byte, error) {
		if tries++; tries < 4 {
			return [][]byte{{1}}, nl.ErrDumpInterrupted
		}
		return [][]byte{{1}, {2}}, nil
	})
	if len(got) != 2 || err != nil || tries != 4 {
		t.Errorf("got %v, %v after %d tries", got, err, tries)
	}
	tries = 0
	_, err = retryDump(func() ([][]byte, error) { tries++; return nil, nl.ErrDumpInterrupted })
	if !errors.Is(err, nl.ErrDumpInterrupted) || tries != dumpTries {
		t.Errorf("always interrupted: %v after %d tries", err, tries)
	}
	tries = 0
	_, err = retryDump(func() ([][]byte, error) { tries++; return nil, unix.EPERM })
	if !errors.Is(err, unix.EPERM) || tries != 1 {
		t.Errorf("denied: %v after %d tries", err, tries)
	}
}

func TestMalformedMessagesAreErrors(t *testing.T) {
	for name, message := range map[string][]byte{
		"no header":           {1, 2},
		"attribute too long":  append(make([]byte, unix.SizeofRtMsg), 0xff, 0, 1, 0),
		"attribute too short": append(make([]byte, unix.SizeofRtMsg), 1, 0, 1, 0),
	} {
		err := visitAttributes(message, unix.SizeofRtMsg, func(uint16, []byte) error { return nil })
		if err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
	for name, value := range map[string][]byte{
		"cut header":     {8, 0, 0},
		"length of zero": {0, 0, 0, 0, 1, 0, 0, 0},
		"too long":       {9, 0, 0, 0, 1, 0, 0, 0},
	} {
		if err := new(Route).decodeNextHops(value); err == nil {
			t.Errorf("next hops, %s: want an error", name)
		}
	}
}
