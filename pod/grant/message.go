package grant

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Version is that of the protocol. Keeper and switch must have the same one.
const Version = 2

// A Message is one thing that is said: exactly one field is set.
type Message struct {
	Hello   *Hello   `json:"hello,omitempty"`
	Grant   *Grant   `json:"grant,omitempty"`
	Opened  *Opened  `json:"opened,omitempty"`
	Ready   *Ready   `json:"ready,omitempty"`
	Go      *Go      `json:"go,omitempty"`
	Started *Started `json:"started,omitempty"`
	Reopen  *Reopen  `json:"reopen,omitempty"`
	Dial    *Dial    `json:"dial,omitempty"`
	Dialled *Dialled `json:"dialled,omitempty"`
	Guest   *Guest   `json:"guest,omitempty"`
	Yield   *Yield   `json:"yield,omitempty"`
	Yielded *Yielded `json:"yielded,omitempty"`
	Bye     *Bye     `json:"bye,omitempty"`
	Stop    *Stop    `json:"stop,omitempty"`
	Stopped *Stopped `json:"stopped,omitempty"`
	Fault   *Fault   `json:"fault,omitempty"`
}

// A Hello is the first thing that a switch says.
type Hello struct {
	Version  int             `json:"version"`
	Takeover bool            `json:"takeover,omitempty"` // go on in place of the switch that runs
	Settings json.RawMessage `json:"settings,omitempty"` // with Takeover: encoded Settings that replace the keeper's; absent: no change
}

// A Grant is everything that a switch has to know. With it comes the descriptor of the listening control socket.
type Grant struct {
	Version   int       `json:"version"`
	Keeper    int       `json:"keeper"` // process id of the keeper, in its own namespace
	Forwarder Forwarder `json:"forwarder"`
	Ports     []Port    `json:"ports"`              // in the forwarder's order, without those of netstack
	NoMerge   bool      `json:"no_merge,omitempty"` // ports do not merge received frames
}

// A Port is one that has a descriptor.
type Port struct {
	Name    string `json:"name"`    // as status shows it
	Kind    string `json:"kind"`    // of the attachment
	Spec    string `json:"spec"`    // the attachment as KIND:ARG, for messages
	Present bool   `json:"present"` // an Opened for it follows; otherwise its device is still to come
}

// Opened says that a port is open, for the first time or again. With it comes its descriptor, and what it is of: a
// device or a socket.
type Opened struct {
	Port   int     `json:"port"` // index in Grant.Ports
	Device *Device `json:"device,omitempty"`
	Socket *Socket `json:"socket,omitempty"`
}

// A Device is an open tap, or an open packet socket.
type Device struct {
	Name      string `json:"name"`       // for messages: name of the device, or fd:N
	Kind      string `json:"kind"`       // "tap" or "packet"
	HeaderLen int    `json:"header_len"` // bytes of virtio-net header before each frame; 0: none
	Offload   bool   `json:"offload"`    // the device takes unfinished checksums and segments larger than the MTU
}

// A Socket is an open unix socket.
type Socket struct {
	Type      string `json:"type"`                // "stream", "dgram" or "seqpacket"
	Listening bool   `json:"listening,omitempty"` // of a stream: peers connect to it
	Connected bool   `json:"connected,omitempty"` // it has the only peer that it will ever have
	Remote    string `json:"remote,omitempty"`    // path of a datagram socket's fixed peer; empty: none
}

// Ready says that the switch has built everything and is locked in.
type Ready struct {
	Sandbox string `json:"sandbox"` // what locks it in, for people
}

// Go says that the switch may begin.
type Go struct {
	Snapshot    json.RawMessage `json:"snapshot,omitempty"`    // what the switch before has learned
	Connections Owners          `json:"connections,omitempty"` // of the descriptors with this message
	Takeovers   int             `json:"takeovers,omitempty"`   // how often a switch has gone on in place of another
}

// Started says that the switch is at work. The one before it is not needed any more.
type Started struct{}

// A Guest says whether the guest's device is there, and somebody behind it.
type Guest struct {
	Absent bool `json:"absent"`
}

// A Reopen asks for a port that was lost. The answer comes when it is open again.
type Reopen struct {
	Port int `json:"port"`
}

// A Dial asks for a connection that the plan names. The answer comes with its descriptor.
type Dial struct {
	ID      uint64  `json:"id"` // the answer has it too
	Service Service `json:"service"`
	Index   int     `json:"index"` // of the service in the plan's list
}

// A Service is a list of the plan that has targets to connect to.
type Service string

// The services.
const (
	Kept   Service = "keep"    // the target of a kept port
	DNSUDP Service = "dns-udp" // a name server on the pod's loopback
	DNSTCP Service = "dns-tcp"
)

// Dialled answers a Dial. Without Err a descriptor comes with it.
type Dialled struct {
	ID  uint64 `json:"id"`
	Err string `json:"err,omitempty"`
}

// Yield asks a switch to stop receiving, to finish what it has in hand, and to say what it has learned.
type Yield struct{}

// Yielded is what the next switch goes on with; if that one fails, a Go brings it back. With it come the descriptors of connections to hypervisors.
type Yielded struct {
	Snapshot    json.RawMessage `json:"snapshot"`
	Connections Owners          `json:"connections,omitempty"` // of the descriptors
}

// Owners are the numbers of the ports that descriptors belong to, in the order of the descriptors.
type Owners []int

// UnmarshalJSON implements json.Unmarshaler. It refuses a list that is longer than the descriptors of a message can be, before
// it builds it.
func (o *Owners) UnmarshalJSON(text []byte) error {
	if limit := maxFiles * 16; len(text) > limit { // so many bytes for each number
		return fmt.Errorf("a list of ports has %d bytes: want at most %d", len(text), limit)
	}
	return json.Unmarshal(text, (*[]int)(o))
}

// Bye asks for the end.
type Bye struct{}

// Stop says that the address goes back to the pod's kernel now.
type Stop struct{}

// Stopped says that the switch does not answer for the address any more.
type Stopped struct{}

// A Fault is why one side ends the connection.
type Fault struct {
	Text string `json:"text"`
	Code int    `json:"code"` // exit code that goes with it
}

// Error returns the text: a Fault of the other side is an error here.
func (f *Fault) Error() string { return f.Text }

// errForm is about a message that does not say one thing.
var errForm = errors.New("want an object with exactly one thing that is said")

func (m *Message) check() error {
	said := 0
	for value, i := reflect.ValueOf(*m), 0; i < value.NumField(); i++ {
		if !value.Field(i).IsNil() {
			said++
		}
	}
	if said != 1 {
		return fmt.Errorf("%w, not %d", errForm, said)
	}
	return nil
}
