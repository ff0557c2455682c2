package grant

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// Version is the version of the protocol. Keeper and switch must have the same Version. It increases when the form of a message or of a
// snapshot changes.
const Version = 11

// A Message is one message. Exactly one field is set.
type Message struct {
	Hello       *Hello       `json:"hello,omitempty"`
	StandBy     *StandBy     `json:"stand_by,omitempty"`
	Grant       *Grant       `json:"grant,omitempty"`
	Opened      *Opened      `json:"opened,omitempty"`
	Ready       *Ready       `json:"ready,omitempty"`
	Begin       *Begin       `json:"begin,omitempty"`
	Started     *Started     `json:"started,omitempty"`
	Reopen      *Reopen      `json:"reopen,omitempty"`
	Dial        *Dial        `json:"dial,omitempty"`
	Dialled     *Dialled     `json:"dialled,omitempty"`
	GuestState  *GuestState  `json:"guest_state,omitempty"`
	Learned     *Learned     `json:"learned,omitempty"`
	UplinkState *UplinkState `json:"uplink_state,omitempty"`
	Changed     *Changed     `json:"changed,omitempty"`
	Yield       *Yield       `json:"yield,omitempty"`
	Yielded     *Yielded     `json:"yielded,omitempty"`
	Bye         *Bye         `json:"bye,omitempty"`
	Stop        *Stop        `json:"stop,omitempty"`
	Stopped     *Stopped     `json:"stopped,omitempty"`
	Ask         *Ask         `json:"ask,omitempty"`
	Answer      *Answer      `json:"answer,omitempty"`
	Fault       *Fault       `json:"fault,omitempty"`
}

// A Hello is the first message of a switch.
type Hello struct {
	Version  int             `json:"version"`            // Version of the switch's build
	Takeover bool            `json:"takeover,omitempty"` // replace the switch that runs
	Settings json.RawMessage `json:"settings,omitempty"` // with Takeover: encoded Settings that replace the keeper's; absent: no change
}

// StandBy reports that the keeper has another switch. The Grant follows when that one has ended. A switch that does not want to wait for
// that ends the session.
type StandBy struct {
	Switch string `json:"switch"` // that switch, for people
}

// A Grant is everything that a switch has to know. The descriptor of the listening control socket travels with it.
type Grant struct {
	Version    int       `json:"version"`                // Version of the keeper's build, which is the switch's
	Keeper     int       `json:"keeper"`                 // process id of the keeper, in its own namespace
	Forwarder  Forwarder `json:"forwarder"`              // what to do with frames
	Ports      []Port    `json:"ports"`                  // ports with a descriptor, in the forwarder's order
	NoMerge    bool      `json:"no_merge,omitempty"`     // ports do not merge received frames
	NoMergeUDP bool      `json:"no_merge_udp,omitempty"` // ports merge no UDP datagrams: this kernel does not cut them right
}

// A Port is a port of the switch with a descriptor, which Opened brings.
type Port struct {
	Name    string `json:"name"`    // name that podswitch status shows
	Kind    string `json:"kind"`    // kind of the attachment: "tap", "packet", "stream", "dgram" or "fd"
	Spec    string `json:"spec"`    // attachment as KIND:ARG, for messages
	Present bool   `json:"present"` // an Opened follows at once; otherwise it follows when the device is there
}

// Opened brings the descriptor of a port, for the first time or again. Exactly one of Device and Socket is set.
type Opened struct {
	Port   int     `json:"port"` // index in Grant.Ports
	Device *Device `json:"device,omitempty"`
	Socket *Socket `json:"socket,omitempty"`
}

// A Device is an open tap, or an open packet socket.
type Device struct {
	Name      string `json:"name"`           // for messages: name of the device, or fd:N
	Link      string `json:"link,omitempty"` // the device's name in the keeper's network namespace; empty: it is in another one
	Kind      string `json:"kind"`           // "tap" or "packet"
	HeaderLen int    `json:"header_len"`     // bytes of virtio-net header before each frame; 0: none
	Offload   bool   `json:"offload"`        // the device takes frames with an unfinished checksum or segments to cut, and finishes them; false: podswitch does, in software
}

// A Socket is an open unix socket.
type Socket struct {
	Type      string `json:"type"`                // "stream", "dgram" or "seqpacket"
	Listening bool   `json:"listening,omitempty"` // of a stream: peers connect to it
	Connected bool   `json:"connected,omitempty"` // it has the only peer that it will ever have
	Remote    string `json:"remote,omitempty"`    // path of a datagram socket's fixed peer; empty: none
}

// Ready reports that the switch has built its ports and dropped its privileges.
type Ready struct {
	Sandbox string `json:"sandbox"` // what confines the switch, for people
}

// Begin tells a switch to forward frames and to answer for the address.
type Begin struct {
	Snapshot    json.RawMessage `json:"snapshot,omitempty"`    // Yielded.Snapshot of the previous switch; absent: there was none
	Connections Owners          `json:"connections,omitempty"` // ports of the descriptors with this message
	Takeovers   int             `json:"takeovers,omitempty"`   // number of takeovers so far
	Resumed     bool            `json:"resumed,omitempty"`     // a switch before this one has ended unasked; the address stayed taken since
	Learned     json.RawMessage `json:"learned,omitempty"`     // with Resumed: the last Learned.State of that switch; absent: there was none
}

// Started reports that the switch forwards frames. At a takeover it releases the previous switch.
type Started struct{}

// GuestState reports whether the guest's device is there, with a hypervisor behind it.
type GuestState struct {
	Absent bool `json:"absent"` // the device is away, or has no hypervisor behind it
}

// Learned reports what the next switch has to know if this one ends unasked: the holder of the address and the guest's lease. A switch
// sends it when it has started, and after each change.
//
// The state is an object that pod/dataplane writes, reads and checks, and that Version covers. The keeper keeps the newest one, and
// passes it on without decoding it.
type Learned struct {
	State json.RawMessage `json:"state"` // one object
}

// Changed brings the description of the pod's network as it is now, in the form of Grant. The switch adopts the MTU, the MAC and the routes of
// the pod interface, the permanent neighbours, the offer, and the description of the pod for status. It ignores the rest.
type Changed struct {
	Forwarder Forwarder `json:"forwarder"`
	Refused   []string  `json:"refused,omitempty"` // changes of the network that have no effect, for people
}

// UplinkState reports whether the pod interface can carry frames.
type UplinkState struct {
	Down bool `json:"down"` // the interface is down, or its other end is
}

// Reopen asks for a port that was lost. An Opened answers it as soon as the port is open again.
type Reopen struct {
	Port int `json:"port"` // index in Grant.Ports
}

// Dial asks for a connection to a target that the plan names. A Dialled answers it.
type Dial struct {
	ID      uint64  `json:"id"`      // chosen by the switch; the answer has the same
	Service Service `json:"service"` // list of targets
	Index   int     `json:"index"`   // index in the list that Service names
}

// A Service names a list of the plan whose entries have targets.
type Service string

// The services.
const (
	Kept   Service = "keep"    // Delegate.Keep: connect to the target of a kept port, over the port's Network
	DNSUDP Service = "dns-udp" // Delegate.RelayDNS: connect to the name server over UDP
	DNSTCP Service = "dns-tcp" // Delegate.RelayDNS: connect to the name server over TCP
)

// Dialled answers a Dial. The descriptor of the connection travels with it, unless Err is set.
type Dialled struct {
	ID  uint64 `json:"id"`            // Dial.ID
	Err string `json:"err,omitempty"` // why there is no connection; empty: there is one
}

// Yield asks a switch to stop receiving, to transmit what it has received, and to answer with its snapshot.
type Yield struct{}

// Yielded has the snapshot that another switch continues with; if the takeover fails, a Begin returns it. Descriptors of connections to
// hypervisors travel with it.
//
// The snapshot is an object that pod/dataplane writes, reads and checks, and that Version covers. The keeper passes it on without
// decoding it, because a switch that was broken into may have made it.
type Yielded struct {
	Snapshot    json.RawMessage `json:"snapshot"`              // one object
	Connections Owners          `json:"connections,omitempty"` // ports of the descriptors with this message
}

// Owners has the number of a port, as in Grant.Ports, for each descriptor of a message.
type Owners []int

// maxNumber is the space in bytes that the text of Owners may have for each number.
const maxNumber = 16

// UnmarshalJSON implements json.Unmarshaler. It refuses a list that is too long for the descriptors of one message before it
// allocates the list.
func (o *Owners) UnmarshalJSON(text []byte) error {
	if limit := maxFiles * maxNumber; len(text) > limit {
		return fmt.Errorf("list of ports with %d bytes: want at most %d", len(text), limit)
	}
	return json.Unmarshal(text, (*[]int)(o))
}

// Bye asks for Stop: the switch was asked to end.
type Bye struct{}

// Stop tells a switch to end. When that has stopped, the keeper gives the address back, or leaves it to the next switch or keeper.
type Stop struct{}

// Stopped reports that the switch does not answer for the address any more.
type Stopped struct {
	Attached bool `json:"attached,omitempty"` // a hypervisor is attached to the guest's port
}

// Ask asks a keeper whether it works, in place of Hello. An Answer ends the session.
type Ask struct{}

// Answer is the state of a keeper that works.
type Answer struct {
	Version string `json:"version"`          // of the keeper's program
	State   string `json:"state"`            // of the keeper's life, such as "running"
	Keeper  int    `json:"keeper"`           // process id of the keeper, in its own namespace
	Switch  string `json:"switch,omitempty"` // the switch, for people; empty: there is none
}

// TryLater is the Code of a Fault after which the same switch may find a keeper that it can serve: this one has another version, or too
// many connections (EX_TEMPFAIL in sysexits.h).
const TryLater = 75

// A Fault has the reason for which a side ends the session.
type Fault struct {
	Text string `json:"text"` // error message, for people
	Code int    `json:"code"` // exit code for the fault, or TryLater
}

// Error returns the text: the fault of the other side is an error of this one.
func (f *Fault) Error() string { return f.Text }

// Name returns the name of the message on the wire, or the empty text if no field is set.
func (m *Message) Name() string {
	value := reflect.ValueOf(m).Elem()
	for i := range value.NumField() {
		if !value.Field(i).IsNil() {
			return wireName(value.Type().Field(i))
		}
	}
	return ""
}

// wireName returns the name of a field in JSON.
func wireName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// errForm means that a text or a Message is not exactly one message.
var errForm = errors.New("want an object with exactly one message")

// check returns an error unless exactly one field is set.
func (m *Message) check() error {
	set := 0
	value := reflect.ValueOf(m).Elem()
	for i := range value.NumField() {
		if !value.Field(i).IsNil() {
			set++
		}
	}
	if set != 1 {
		return fmt.Errorf("%w, not %d", errForm, set)
	}
	return nil
}
