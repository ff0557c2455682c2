package tap

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os/exec"
	"strings"
	"testing"

	"github.com/podswitch/podswitch/vnet"
)

// cutRight is a kernel without a fault.
func cutRight(h vnet.Header, frame []byte, _ int) (pieces [][]byte, err error) {
	room := make([]byte, vnet.WireLen(h, frame))
	for segments := vnet.Cut(h, frame); !segments.Done(); {
		pieces = append(pieces, bytes.Clone(room[:segments.Next(room)]))
	}
	return pieces, nil
}

// A kernel that spoils a datagram, or refuses the frame, is found out.
func TestJudgeKernels(t *testing.T) {
	if err := judge(cutRight); err != nil {
		t.Errorf("a kernel without a fault: %v", err)
	}
	spoilLast := func(spoil func(last []byte, full bool)) func(vnet.Header, []byte, int) ([][]byte, error) {
		return func(h vnet.Header, frame []byte, n int) ([][]byte, error) {
			pieces, err := cutRight(h, frame, n)
			last := pieces[len(pieces)-1]
			spoil(last, len(last) == len(pieces[0]))
			return pieces, err
		}
	}
	for name, cut := range map[string]func(vnet.Header, []byte, int) ([][]byte, error){
		"length of a full last datagram": spoilLast(func(last []byte, full bool) {
			if full {
				binary.BigEndian.PutUint16(last[38:], 8)
			}
		}),
		"checksum of a smaller last datagram": spoilLast(func(last []byte, full bool) {
			if !full {
				last[41] ^= 1
			}
		}),
		"identification": spoilLast(func(last []byte, _ bool) { last[19]++ }),
		"refusal":        func(vnet.Header, []byte, int) ([][]byte, error) { return nil, fs.ErrInvalid },
	} {
		if err := judge(cut); err == nil {
			t.Errorf("%s: no fault found", name)
		}
	}
}

// The probe works in a namespace without anything, and leaves nothing there.
func TestMergeable(t *testing.T) {
	inNamespace(t, func(t *testing.T) {
		what, err := Mergeable()
		if what != MergeDatagrams && (err == nil || !strings.Contains(err.Error(), "datagram")) || what == MergeDatagrams && err != nil {
			t.Errorf("%d, %v", what, err)
		}
		if what != MergeDatagrams {
			t.Log(err)
		}
		if out, err := exec.Command("ip", "-br", "link").Output(); err != nil || strings.Contains(string(out), "podswitch") {
			t.Errorf("%v: left behind: %s", err, out)
		}
	})
}
