(()=>{const t=document.getElementById('tip');
addEventListener('pointermove',e=>{const m=e.target.closest&&e.target.closest('[data-tip]');
if(!m){t.style.opacity=0;return}
t.textContent=m.dataset.tip;t.style.opacity=1;
t.style.left=Math.max(4,Math.min(e.clientX+12,innerWidth-t.offsetWidth-8))+'px';t.style.top=Math.max(4,e.clientY-36)+'px'});
addEventListener('beforeprint',()=>document.querySelectorAll('details:not(.sql)').forEach(d=>d.open=true))})();
