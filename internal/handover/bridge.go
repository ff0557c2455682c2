package handover

import "time"

// Bridge is the forwarding table of a learning switch. It contains learned stations only: the switch that takes over configures
// static ones itself.
type Bridge struct {
	Stations []Station `json:"stations"` // ordered by MAC; may include stations that have aged out and were not removed yet
	// NextSweep is the time until a full table may be searched for expired stations again; 0 if it may be searched now.
	NextSweep time.Duration `json:"next_sweep_ns"`
}

// Station is one learned station.
type Station struct {
	MAC  MAC           `json:"mac"`
	Port int           `json:"port"`
	Age  time.Duration `json:"age_ns"` // since the last frame from the station
}

// Counters are the counters of one port.
type Counters struct {
	RxFrames uint64            `json:"rx_frames"`
	RxBytes  uint64            `json:"rx_bytes"`
	TxFrames uint64            `json:"tx_frames"`
	TxBytes  uint64            `json:"tx_bytes"`
	Drops    map[string]uint64 `json:"drops"` // by the name of the reason
}
