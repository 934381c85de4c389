package jsonbody

import (
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	ingestion "tocsin/gen/tocsin/ingestion/v1"
)

// quickReading reads the usual form of a reading, which most requests are: a flat object of plain ASCII strings, a
// number and a time in UTC. It says false, and has changed nothing, about all else: what is unusual or wrong is for
// protojson, which takes about five times as long, and for its errors.
func quickReading(data []byte, into *ingestion.Reading) bool {
	var (
		s     = scanner{data: data}
		texts [5]string // building, room, sensorType, device, unit
		seen  [7]bool
		value float64
		at    *timestamppb.Timestamp
	)
	if !s.eat('{') {
		return false
	}
	for first := true; !s.eat('}'); first = false {
		if !first && !s.eat(',') {
			return false
		}
		key, ok := s.text()
		if !ok || !s.eat(':') {
			return false
		}
		place, known := readingFields[string(key)]
		if !known || seen[place] {
			return false
		}
		seen[place] = true
		switch place {
		case valueField:
			value, ok = s.number()
		case timeField:
			at, ok = s.time()
		default:
			var text []byte
			text, ok = s.text()
			texts[place] = string(text)
		}
		if !ok {
			return false
		}
	}
	if !s.end() {
		return false
	}
	into.Building, into.Room, into.SensorType, into.Device, into.Unit = texts[0], texts[1], texts[2], texts[3], texts[4]
	if seen[valueField] {
		into.Value = &value
	}
	into.EventTime = at
	return true
}

const (
	valueField = 5
	timeField  = 6
)

var readingFields = map[string]int{
	"building": 0, "room": 1, "sensorType": 2, "sensor_type": 2, "device": 3, "unit": 4,
	"value": valueField, "eventTime": timeField, "event_time": timeField,
}

// scanner steps through a JSON text.
type scanner struct {
	data []byte
	at   int
}

func (s *scanner) space() {
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) eat(c byte) bool {
	s.space()
	if s.at < len(s.data) && s.data[s.at] == c {
		s.at++
		return true
	}
	return false
}

func (s *scanner) end() bool {
	s.space()
	return s.at == len(s.data)
}

// text reads a string of printable ASCII without escapes.
func (s *scanner) text() ([]byte, bool) {
	if !s.eat('"') {
		return nil, false
	}
	from := s.at
	for ; s.at < len(s.data); s.at++ {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return s.data[from : s.at-1], true
		case c < 0x20 || c > 0x7e || c == '\\':
			return nil, false
		}
	}
	return nil, false
}

func (s *scanner) digits() bool {
	from := s.at
	for s.at < len(s.data) && '0' <= s.data[s.at] && s.data[s.at] <= '9' {
		s.at++
	}
	return s.at > from
}

// number reads what the grammar of JSON calls a number, if a float64 can hold it.
func (s *scanner) number() (float64, bool) {
	s.space()
	from := s.at
	s.one("-")
	if !s.one("0") && !s.digits() {
		return 0, false
	}
	if s.one(".") && !s.digits() {
		return 0, false
	}
	if s.one("eE") {
		s.one("+-")
		if !s.digits() {
			return 0, false
		}
	}
	value, err := strconv.ParseFloat(string(s.data[from:s.at]), 64)
	return value, err == nil
}

// one takes the next byte if it is one of set.
func (s *scanner) one(set string) bool {
	if s.at < len(s.data) {
		for i := range len(set) {
			if s.data[s.at] == set[i] {
				s.at++
				return true
			}
		}
	}
	return false
}

// time reads a time such as "2026-01-31T12:00:00.5Z".
func (s *scanner) time() (*timestamppb.Timestamp, bool) {
	text, ok := s.text()
	if !ok || !inUTC(text) {
		return nil, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil || at.Year() < 1 {
		return nil, false
	}
	return timestamppb.New(at), true
}

func inUTC(text []byte) bool {
	const form = "0000-00-00T00:00:00"
	if len(text) <= len(form) || text[len(text)-1] != 'Z' {
		return false
	}
	for i := range len(form) {
		if digit := '0' <= text[i] && text[i] <= '9'; digit != (form[i] == '0') || !digit && text[i] != form[i] {
			return false
		}
	}
	fraction := text[len(form) : len(text)-1]
	if len(fraction) == 0 {
		return true
	}
	if fraction[0] != '.' || len(fraction) == 1 || len(fraction) > 10 {
		return false
	}
	for _, c := range fraction[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
