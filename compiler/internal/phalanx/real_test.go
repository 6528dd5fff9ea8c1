package phalanx

import ("testing";"os";"fmt";"time")

func TestReal(t *testing.T){
  dir:=os.Getenv("PH"); if dir=="" {t.Skip()}
  for _,env:=range []string{"summit","tucson-teststand","base"} {
  t0:=time.Now()
  r,err:=Open(t.Context(),dir,"650a0ef2c"); if err!=nil{t.Fatal(err)}
  t1:=time.Now()
  x,err:=r.Render(t.Context(),env,"telescope"); if err!=nil{t.Fatal(err)}
  t2:=time.Now()
  cs,err:=r.CSCs(x); if err!=nil{t.Fatal(err)}
  fmt.Println(env,len(x.Applications),len(cs),t1.Sub(t0),t2.Sub(t1),time.Since(t2))
  for _,a:=range x.Applications { if a.Commit!="" { k:=map[string]int{}; for _,r:=range a.Resources{k[r.Kind]++}; fmt.Println(" ",a.Name,a.Missing,k) } else if len(a.unknown)>0 {fmt.Println(" ",a.Name,a.unknown)} }
  if env=="summit" { for _,c:=range cs { fmt.Println(c.Place,c.Job.Name,c.Image,c.Start,len(c.Own),c.Own,c.Shared) } }
  }
}
