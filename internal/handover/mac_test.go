package handover_test

import (
	"encoding/json"
	"testing"

	"github.com/podswitch/podswitch/internal/handover"
)

// A MAC has the same JSON as vswitch.MAC: its text, and the empty string for none.
func TestMACJSON(t *testing.T) {
	type document struct{ A, B handover.MAC }
	in := document{A: handover.MAC{2, 0, 0, 0, 0, 1}}
	text, err := json.Marshal(in)
	if want := `{"A":"02:00:00:00:00:01","B":""}`; err != nil || string(text) != want {
		t.Errorf("Marshal = %s, %v; want %s", text, err, want)
	}
	out := document{B: handover.MAC{9}}
	if err := json.Unmarshal(text, &out); err != nil || out != in {
		t.Errorf("Unmarshal = %+v, %v; want %+v", out, err, in)
	}
	for _, bad := range []string{`{"A":"no MAC"}`, `{"A":"02:00:00:00:00:00:00:01"}`, `{"A":7}`} {
		if err := json.Unmarshal([]byte(bad), &out); err == nil {
			t.Errorf("Unmarshal accepts %s", bad)
		}
	}
}
