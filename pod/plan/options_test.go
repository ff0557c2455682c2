package plan

import (
	"fmt"
	"testing"

	"github.com/podswitch/podswitch/dhcpsrv"
	"github.com/podswitch/podswitch/model"
)

// TestExtraOptions: a document may set the options that the DHCP server takes, and no others.
func TestExtraOptions(t *testing.T) {
	for code := range 256 {
		document := fmt.Sprintf("spec: {devices: {interfaces: [{name: a, bridge: {}, dhcpOptions: {options: [{option: %d, value: x}]}}]}, "+
			"networks: [{name: a, pod: {}}]}", code)
		if _, err := model.Parse([]byte(document)); (err == nil) != dhcpsrv.IsExtra(uint8(code)) {
			t.Errorf("option %d: the document has the error %v, and the server takes it: %v", code, err, dhcpsrv.IsExtra(uint8(code)))
		}
	}
}
