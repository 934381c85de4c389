package readings

import (
	"encoding/base64"
	"fmt"
	"sync"
	"testing"
	"time"
)

func TestNoTwoReadingsGetTheSameTimeOfArrival(t *testing.T) {
	var (
		c     coalescer
		group sync.WaitGroup
		all   sync.Map
	)
	for range 8 {
		group.Go(func() {
			for range 5000 {
				at := c.stamp()
				if _, twice := all.LoadOrStore(at.UnixNano(), true); twice || at.Nanosecond()%1000 != 0 {
					t.Errorf("%v: twice %v", at, twice)
					return
				}
			}
		})
	}
	group.Wait()
	if drift := time.Until(c.stamp()); drift > time.Second {
		t.Errorf("%v ahead of the clock", drift)
	}
}

func TestALaneLeavesBeforeItsTokenExpires(t *testing.T) {
	token := func(in time.Duration) string {
		claims := fmt.Sprintf(`{"exp":%d}`, time.Now().Add(in).Unix())
		return "Bearer x." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".x"
	}
	for in, most := range map[time.Duration]time.Duration{-time.Hour: 0, 0: 0, 5 * time.Second: 4 * time.Second, time.Hour: laneLife} {
		if life := lifeOf(token(in)); life < 0 || life > most || most > 0 && life < most-2*time.Second {
			t.Errorf("expiry in %v: %v", in, life)
		}
	}
	if lifeOf("Bearer opaque") != laneLife {
		t.Error("a token without an expiry has the usual life")
	}
}
