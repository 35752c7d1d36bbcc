package awsapi

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func fromHex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func cborDecoder(b []byte) *Decoder {
	d := new(Decoder)
	d.newCBOR(b)
	return d
}

// toJSON reads one value of CBOR and writes it as JSON; bytes become base64
// behind a mark.
func toJSON(d *Decoder, dst []byte) []byte {
	if d.Null() {
		return append(dst, "null"...)
	}
	switch b, _ := d.lead(); {
	case d.isMap():
		dst = append(dst, '{')
		for ok := d.open(); ok; ok = d.NextMember() {
			if dst[len(dst)-1] != '{' {
				dst = append(dst, ',')
			}
			dst = append(AppendJSONString(dst, d.Name), ':')
			dst = toJSON(d, dst)
		}
		return append(dst, '}')
	case d.isArray():
		dst = append(dst, '[')
		for ok := d.openList(); ok; ok = d.NextElement() {
			if dst[len(dst)-1] != '[' {
				dst = append(dst, ',')
			}
			dst = toJSON(d, dst)
		}
		return append(dst, ']')
	case d.isText():
		return AppendJSONString(dst, d.Text())
	case d.isBytes():
		return AppendJSONBytes(dst, d.Base64())
	case isNumber(b) && b>>5 == majorSimple:
		return strconv.AppendFloat(dst, d.Double().V, 'g', -1, 64)
	case isNumber(b):
		return strconv.AppendInt(dst, d.Long().V, 10)
	default:
		return strconv.AppendBool(dst, d.Bool().V)
	}
}

// toCBOR reads one value of JSON and writes it as CBOR.
func toCBOR(d *Decoder, dst []byte) []byte {
	if d.Null() {
		return append(dst, cborNull)
	}
	switch c := d.peek(); c {
	case '{':
		dst = AppendCBORStructure(dst)
		for ok := d.open(); ok; ok = d.NextMember() {
			dst = toCBOR(d, AppendCBORText(dst, d.Name))
		}
		return AppendCBOREnd(dst)
	case '[':
		var list [][]byte
		for ok := d.openList(); ok; ok = d.NextElement() {
			list = append(list, toCBOR(d, nil))
		}
		return append(AppendCBORArray(dst, len(list)), bytes.Join(list, nil)...)
	case '"':
		return AppendCBORText(dst, d.Text())
	case 't', 'f':
		return AppendCBORBool(dst, d.Bool().V)
	default:
		text, whole := d.number()
		if v, err := strconv.ParseInt(text, 10, 64); whole && err == nil {
			return AppendCBORInt(dst, v)
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil && d.err == nil { // beyond what a double holds
			f = math.MaxFloat64
		}
		return AppendCBORFloat(dst, f)
	}
}

// TestCBORValues reads the examples of RFC 8949, appendix A, and more.
func TestCBORValues(t *testing.T) {
	for _, c := range []struct{ hex, json string }{
		{"00", "0"}, {"17", "23"}, {"1818", "24"}, {"18ff", "255"}, {"190100", "256"}, {"1a000f4240", "1000000"},
		{"1b7fffffffffffffff", "9223372036854775807"}, {"3b7fffffffffffffff", "-9223372036854775808"}, {"20", "-1"}, {"3903e7", "-1000"},
		{"f90000", "0"}, {"f98000", "-0"}, {"f93c00", "1"}, {"f93e00", "1.5"}, {"f97bff", "65504"}, {"f90001", "5.960464477539063e-08"},
		{"f90400", "6.103515625e-05"}, {"f9c400", "-4"}, {"fa47c35000", "100000"}, {"fb3ff199999999999a", "1.1"},
		{"f4", "false"}, {"f5", "true"}, {"f6", "null"}, {"f7", "null"}, {"c1f6", "null"},
		{"40", `""`}, {"4401020304", `"AQIDBA=="`}, {"5f42010243030405ff", `"AQIDBAU="`}, {"5fff", `""`},
		{"60", `""`}, {"62c3bc", `"ü"`}, {"7f657374726561646d696e67ff", `"streaming"`}, {"7fff", `""`},
		{"80", "[]"}, {"83010203", "[1,2,3]"}, {"9fff", "[]"}, {"9f018202039f0405ffff", "[1,[2,3],[4,5]]"},
		{"a0", "{}"}, {"a26161016162820203", `{"a":1,"b":[2,3]}`}, {"bf61610161629f0203ffff", `{"a":1,"b":[2,3]}`}, {"bfff", "{}"},
		{"d9d9f7bf6161c1c101ff", `{"a":1}`}, // tags mean nothing here
	} {
		d := cborDecoder(fromHex(t, c.hex))
		if got := toJSON(d, nil); d.Done() != nil || string(got) != c.json {
			t.Errorf("%s: %s, %v; want %s", c.hex, got, d.Done(), c.json)
		}
		d = cborDecoder(fromHex(t, c.hex))
		if d.Skip(); d.Done() != nil {
			t.Errorf("%s cannot be skipped: %v", c.hex, d.Done())
		}
	}
}

// TestCBORJunk refuses what is not CBOR, or more than there is.
func TestCBORJunk(t *testing.T) {
	for _, text := range []string{
		"", "18", "19ff", "1c", "1d", "1e", "1f", "3f", "ff", "f8", "f800", "f0", "fc", "fd", "fe", "c1", "c1ff", "df01", "dc01",
		"41", "5bffffffffffffffff", "5b7fffffffffffffff00", "7bffffffffffffffff61", "61ff", "62c3", "7f61c361bcff", "5f6161ff", "7f4161ff",
		"7f7f6161ffff", "5f", "5f41", "7f61", "81", "8201", "9b00000000ffffffff01", "9bffffffffffffffff", "9f", "9f01", "a1", "a161", "a16161", "bb00000000ffffffff616101",
		"a10101", "a1f601", "a1416101", "bf", "bf61", "bf6161", "bf6161ff", "bf01ff", "0000", "f6f6", "8001", "a000",
		strings.Repeat("81", maxDepth) + "8101", strings.Repeat("9f", 10_000), strings.Repeat("c1", 10_000),
	} {
		b := fromHex(t, text)
		d := cborDecoder(b)
		if d.Skip(); d.Done() == nil {
			t.Errorf("took %s", text[:min(len(text), 40)])
		}
		d = cborDecoder(b)
		if toJSON(d, nil); d.Done() == nil {
			t.Errorf("read %s", text[:min(len(text), 40)])
		}
	}
}

func TestCBORTypes(t *testing.T) {
	read := map[string]func(d *Decoder) any{
		"String":  func(d *Decoder) any { return d.String().V },
		"Integer": func(d *Decoder) any { return d.Integer().V },
		"Long":    func(d *Decoder) any { return d.Long().V },
		"Double":  func(d *Decoder) any { return d.Double().V },
		"Bool":    func(d *Decoder) any { return d.Bool().V },
		"Blob":    func(d *Decoder) any { return string(d.Blob()) },
		"Time":    func(d *Decoder) any { return d.Time().V },
		"List":    func(d *Decoder) any { return len(d.Strings()) },
		"Field":   func(d *Decoder) any { return d.Object("class x.Y", false) },
		"Map":     func(d *Decoder) any { return d.Object("java.util.Map<x>", false) },
	}
	for _, c := range []struct {
		typ, hex string
		want     any // a string is an error unless the type has strings
	}{
		{"String", "6161", "a"}, {"String", "f6", ""},
		{"String", "01", "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String"},
		{"String", "f5", "class java.lang.Boolean can not be converted to an String"},
		{"String", "4161", "class java.nio.HeapByteBuffer can not be converted to an String"},
		{"String", "80", "Start of list found where not expected"}, {"String", "a0", "Start of structure or map found where not expected."},
		{"Integer", "1a7fffffff", int64(math.MaxInt32)}, {"Integer", "fb4041400000000000", int64(34)},
		{"Integer", "1a80000000", "Numeric value out of range of integer"}, {"Integer", "6131", "class java.lang.String can not be converted to an Integer"},
		{"Integer", "f97e00", "Numeric value out of range of integer"}, {"Long", "f97c00", "Numeric value out of range of long"},
		{"Long", "1b8000000000000000", "Numeric value out of range of long"}, {"Long", "3b8000000000000000", "Numeric value out of range of long"},
		{"Double", "01", 1.0}, {"Double", "fb7ff0000000000000", "Numeric value out of range of double"},
		{"Bool", "f5", true}, {"Bool", "6132", "'2' can not be converted to an Boolean"},
		{"Blob", "4161", "a"}, {"Blob", "6161", "class java.lang.String can not be converted to a Blob"},
		{"Time", "c11b0000018bcfe56800", int64(1_700_000_000_000)}, {"Time", "1b0000018bcfe56800", int64(1_700_000_000_000)}, // Java's milliseconds
		{"Time", "c1fb41d954fc40080000", int64(1_700_000_000_125)}, // seconds
		{"Time", "c11bffffffffffffffff", "Numeric value out of range of date"}, {"Time", "c16130", "class java.lang.String can not be converted to an Date"},
		{"List", "9f6161ff", 1}, {"List", "a0", "Start of structure or map found where not expected."}, {"List", "01", "Expected list or null"},
		{"Field", "a16161f6", true}, {"Field", "80", "Start of list found where not expected"}, {"Field", "6161", "Expected null"}, {"Map", "6161", "Expected map or null"},
	} {
		d := cborDecoder(fromHex(t, c.hex))
		d.words = &kinesisWords
		got := read[c.typ](d)
		if err := d.Err(); err != nil {
			got = err.Message
			if err.Code != "SerializationException" {
				t.Errorf("%s of %s: code %s", c.typ, c.hex, err.Code)
			}
		}
		if got != c.want {
			t.Errorf("%s of %s: %v, want %v", c.typ, c.hex, got, c.want)
		}
	}
}

// TestCBORWriting holds the encoder to golden bytes.
func TestCBORWriting(t *testing.T) {
	b := AppendCBORStructure(nil)
	b = AppendCBORInt(AppendCBORText(b, "i"), -25)
	b = AppendCBORBytes(AppendCBORText(b, "b"), []byte{1, 2})
	b = AppendCBORBool(AppendCBORText(b, "t"), true)
	b = AppendCBORTime(AppendCBORText(b, "at"), 1_700_000_000_123)
	b = AppendCBORFloat(AppendCBORText(b, "f"), 1.5)
	b = AppendCBORArray(AppendCBORText(b, "l"), 2)
	b = AppendCBORMap(AppendCBORInt(b, 500), 1)
	b = AppendCBORText(AppendCBORText(b, "k"), "a\xff")
	b = AppendCBOREnd(b)
	want := "bf 6169 3818 6162 420102 6174 f5 626174 c11b0000018bcfe5687b 6166 fb3ff8000000000000 616c 82 1901f4 a1 616b 64 61efbfbd ff"
	if got := fromHex(t, want); !bytes.Equal(got, b) {
		t.Errorf("got %x", b)
	}
	e := ErrorResponse(CBOR11, StyleKinesis, "id", &Error{Code: "X", Message: "m"})
	if want := "bf 665f5f74797065 6158 676d657373616765 616d ff"; !bytes.Equal(e.Body, fromHex(t, want)) || e.ContentType != "application/x-amz-cbor-1.1" {
		t.Errorf("%s %x", e.ContentType, e.Body)
	}
}

// TestCBORSharesMemory: reading a record of a batch allocates nothing.
func TestCBORSharesMemory(t *testing.T) {
	body := fromHex(t, "bf 6144 4401020304 614b 63616263 ff")
	d := cborDecoder(body)
	allocs := testing.AllocsPerRun(100, func() {
		d.i = 0
		for ok := d.Object("class x.Y", true); ok; ok = d.NextMember() {
			if d.Name == "D" && &d.Blob()[0] != &body[4] || d.Name == "K" && d.String().V != "abc" {
				t.Fatal("read something else")
			}
		}
	})
	if allocs != 0 || d.Done() != nil {
		t.Errorf("reading allocated %v times, %v", allocs, d.Done())
	}
}

func FuzzCBOR(f *testing.F) {
	for _, s := range []string{"bf6144440102030461747f6161ffff", "a1616183f90001fb3ff199999999999ac11a514b67b0", "9f5f4101ff20f5f6f7ff",
		"9bffffffffffffffff", "bf6161ff", "d9d9f7a0", "7f61c3ff"} {
		f.Add(fromHex(f, s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := cborDecoder(b)
		text := toJSON(d, nil)
		err := d.Done()
		if err == nil && (d.depth != 0 || len(d.left) != 0) {
			t.Fatalf("ended %d levels deep", d.depth)
		}
		if len(text) > 30*len(b)+16 { // the longest number of one byte
			t.Fatalf("%d bytes became %d", len(b), len(text))
		}
		skip := cborDecoder(b)
		if skip.Skip(); err == nil && skip.Done() != nil {
			t.Fatalf("read %x, but cannot skip it: %v", b, skip.Done())
		}
		if err != nil {
			return
		}
		// The same in JSON, and from there in CBOR again.
		j := NewDecoder(string(text))
		again := toCBOR(j, nil)
		if j.Done() != nil {
			t.Fatalf("%x became %s: %v", b, text, j.Done())
		}
		d = cborDecoder(again)
		if got := toJSON(d, nil); d.Done() != nil || !sameJSON(t, got, text) {
			t.Fatalf("%x became %s, then %s: %v", b, text, got, d.Done())
		}
	})
}

// sameJSON compares values, not how they are written.
func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var va, vb any
	if err := errors.Join(json.Unmarshal(a, &va), json.Unmarshal(b, &vb)); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(va, vb)
}

func FuzzJSONAsCBOR(f *testing.F) {
	f.Add(` {"a" : [1, -5, "x\u00e9\ud83d\ude00\n", true, false, null, {}], "b":""} `)
	f.Add(`{"Records":[{"Data":"AAAA","PartitionKey":"k"}],"StreamName":"s"}`)
	f.Fuzz(func(t *testing.T, s string) {
		j := NewDecoder(s)
		b := toCBOR(j, nil)
		if j.Done() != nil {
			return
		}
		d := cborDecoder(b)
		got := toJSON(d, nil)
		if d.Done() != nil {
			t.Fatalf("%s became %x: %v", s, b, d.Done())
		}
		if !strings.ContainsAny(s, "eE") && !sameJSON(t, got, []byte(s)) { // but for numbers beyond a double
			t.Fatalf("%s became %x, then %s", s, b, got)
		}
	})
}
